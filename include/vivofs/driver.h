/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/driver.h -- what an archive must be able to do.
 *
 * A driver is one file, src/drivers/<id>.c, one line in drivers.def and one test;
 * src/drivers/README.md is the manual. It is written in plain blocking style and
 * called on its archive's job threads only, several at once, through the
 * vivo_archive_* functions, which check the contract, trace and count. It
 * speaks of originals; everything above it sees them only as shown. */
#ifndef VIVOFS_DRIVER_H
#define VIVOFS_DRIVER_H

#include "vivofs/model.h"
#include "vivofs/net.h"
#include "vivofs/op.h"

#include <stdatomic.h>
#include <stdbool.h>

struct vivo_driver;

struct vivo_archive_config {
    const char *source;   /* as typed: folder or URL */
    struct vivo_net *net; /* NULL for local drivers */
    const char *bearer;   /* token, or NULL */
    const char
        *endpoint;      /* -o endpoint=URL: where objects lie, if elsewhere; or NULL */
    int64_t timeout_ms; /* of one request */
    unsigned jobs;      /* requests at once that one listing may make; 0 = 8 */
    const char *cafile; /* for drivers that do not go through net; or NULL */
    unsigned rate;      /* requests a second, where a driver counts; 0 = its own */
};

/* Base of every open archive; drivers embed it as first member. */
struct vivo_archive {
    const struct vivo_driver *driver;
    struct vivo_net *net;  /* borrowed */
    uint8_t source_id[32]; /* SHA-256 of the source as typed; set by the wrapper */
    char *source;          /* as typed; the wrapper's */
    atomic_uint_least64_t requests, bytes; /* counted by the wrappers and drivers */
    /* Set by a driver that has found out that this archive is one of
     * VIVO_CAP_DEAR_HEADERS, though others of its kind are not. */
    atomic_bool dear_headers;
};

/* Receives what a driver lists. */
struct vivo_intake {
    /* A thing exists. Non-zero ends the listing and is returned. Thread-safe. */
    int (*record)(struct vivo_intake *self, const struct vivo_record *rec,
                  struct vivo_err *err);
    /* Is the object with this locator and version known already? Then it need not be
     * read again; it counts as recorded. NULL = nothing is known. */
    bool (*known)(struct vivo_intake *self, const char *locator, const char *version);
    /* Something exists that cannot be shown at all, or cannot be read: counted. */
    void (*other)(struct vivo_intake *self, const char *locator, const char *version);
    /* A file that is no DICOM object: shown as it is, or counted as an other. Non-zero
     * ends the listing and is returned. Thread-safe. */
    int (*extra)(struct vivo_intake *self, const struct vivo_extra *x,
                 struct vivo_err *err);
    bool extras; /* false: none will be shown, so that no work is needed for them */
    /* A long reply is still coming: who waits for the listing waits on. */
    void (*alive)(struct vivo_intake *self);
};

/* One condition that an archive may answer; several are a conjunction. It is true of an
 * object that has an equal value (ANY_OF: of one of `values`; with `wild` they may hold
 * * and ?) or one between values[0] and values[1], both included (RANGE; NULL = open
 * end). Equal is meant as in queries: without case, spaces at the ends aside, numbers
 * as numbers. What the archive says too much is sorted out by who asked; what it says
 * too little is lost: where it minds case or does not know wildcards, a driver asks in
 * another way or leaves the condition out. Values are printable ASCII without a
 * backslash, dates YYYYMMDD; never of what is hidden or replaced. */
enum vivo_match_kind { VIVO_MATCH_NONE, VIVO_MATCH_ANY_OF, VIVO_MATCH_RANGE };
struct vivo_match {
    uint32_t tag;
    enum vivo_match_kind kind;
    bool wild;
    const char *const *values;
    size_t n;
};
#define VIVO_MATCH_MAX 64        /* conditions of one search */
#define VIVO_MATCH_VALUES_MAX 64 /* values of one condition */

/* Receives the bytes of one object. */
struct vivo_delivery {
    struct vivo_sink sink; /* bytes in order */
    /* Local drivers: gives away a descriptor instead of bytes. The receiver owns fd
     * on success, the driver closes it on failure. NULL = wants bytes. */
    int (*descriptor)(struct vivo_delivery *self, int fd, struct vivo_err *err);
    /* The name of the extra that is wanted: whatever its bytes are. NULL = an object,
     * and nothing that is none may be delivered. */
    const char *extra;
    /* Told by the driver before the first byte, also after a restart: how many there
     * will be, as the archive said; 0 = it did not. Readers get bytes sooner then. */
    uint64_t total;
};

/* Receives the objects of a series that come together; called by one thread. */
struct vivo_bundle {
    struct vivo_sink sink; /* bytes of the object under way, in order; restart: they are
                              to be forgotten, the next object begins */
    /* Those were all bytes of one object, exactly; locator: as fetch() takes it. */
    int (*whole)(struct vivo_bundle *self, const char *locator, struct vivo_err *err);
    /* Bytes came from the archive; who waits waits on. */
    void (*alive)(struct vivo_bundle *self, uint64_t bytes);
    /* Is that an object of the series? For archives that give things together that are
     * not a series. NULL = there is nothing else. */
    bool (*wants)(struct vivo_bundle *self, const char *locator);
};

enum vivo_driver_cap {
    VIVO_CAP_LOCAL =
        1 << 0, /* no network: fetch may run on any thread, sizes are free */
    VIVO_CAP_HEADERS = 1 << 1, /* headers() exists */
    VIVO_CAP_WATCH = 1 << 2,   /* watch() exists */
    VIVO_CAP_FILE = 1 << 3,    /* of the drivers of paths: takes files, not folders */
    VIVO_CAP_DEAR_HEADERS = 1 << 4, /* headers() brings each object whole, or alone */
    VIVO_CAP_SAME_BYTES = 1 << 5,   /* fetch() brings files as they are kept there, the
                                       same bytes each time, and no others by bundle() */
};

/* Driver vtable. NULL where optional. */
struct vivo_driver {
    const char *name;    /* "dicomweb" */
    const char *summary; /* one line */
    /* URL schemes, space-separated ("dicomweb+http dicomweb+https"); "" = a path. */
    const char *schemes;
    unsigned caps; /* enum vivo_driver_cap */
    /* Levels whose children list() must be asked for, as bits 1 << VIVO_LEVEL_…; 1 <<
     * VIVO_LEVEL_NONE is the top. dir: the top only (one call gives all). dicomweb:
     * top (studies), study (series), series (instances). */
    unsigned lists;
    /* Tags its listing carries at each level (0-terminated; NULL = whole headers):
     * names are made of these and never change after a fetch. */
    const uint32_t *listed;
    /* VIVO_CAP_FILE, optional: is this file of its kind, by its content? The first
     * driver that says so gets it, else the one that does not ask. */
    bool (*takes)(const char *path);

    /* Makes *out. Checks that the source exists as far as that needs no network;
     * may read the network only in probe(). */
    int (*open)(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                struct vivo_err *err);
    void (*close)(struct vivo_archive *self);
    /* Optional: is it what the URL says it is? -EIO "answers HTML, not …". */
    int (*probe)(struct vivo_archive *self, struct vivo_op *op);

    /* Emits every child of `parent` (a locator that it gave; NULL = the top), complete
     * or an error. A record may be of any level below; its ancestors are taken from
     * its attributes. A record without attributes has its header read by flow
     * (VIVO_CAP_LOCAL) or through headers(). */
    int (*list)(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op);

    /* Optional: list() is about to be asked below each of these n nodes of the level
     * `prepares` (locators that it gave): asks for many of them in one request, and
     * keeps what came for a minute, for list() to take once. It may leave some to
     * list(), and must where it cannot be certain that all of their children came.
     * -ENOENT: it cannot ask so. Other errors end the query. */
    enum vivo_level prepares; /* VIVO_LEVEL_NONE: of nothing */
    int (*prepare)(struct vivo_archive *self, const char *const *nodes, size_t n,
                   struct vivo_op *op);

    /* Delivers all bytes of the object, exactly, or an error: never a short file. */
    int (*fetch)(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op);

    /* Optional: all objects below a series in one request, each the same as by fetch(),
     * in any order. What is passed on before a failure counts. Asked when somebody
     * reads the series in order; a failure means that fetch() is asked instead. Of a
     * series that has no record of its own the locator is that of one of its instances.
     */
    int (*bundle)(struct vivo_archive *self, const char *series_locator,
                  struct vivo_bundle *to, struct vivo_op *op);

    /* Optional: whole headers of all instances below a series, as records at
     * VIVO_LEVEL_INSTANCE with .headers set, without their pixels. Of a series that
     * has no record of its own the locator is that of one of its instances. */
    int (*headers)(struct vivo_archive *self, const char *series_locator,
                   struct vivo_intake *in, struct vivo_op *op);

    /* Optional: the tags that search() may narrow by, 0-terminated: those of which the
     * archive has every object's value, also where it stands in a functional group. */
    const uint32_t *searches;
    /* Optional: emits, as list() would, studies or series (records with their locators)
     * so that every object that meets all of `matches` is below one of them: complete
     * or an error. It may emit more. Where list() gives studies locators of their own,
     * a series comes after its study; such a study is then there for these series
     * alone, and one without any series for all that is in it. Bit i of *answered:
     * matches[i] narrowed what came; an archive that cannot tell leaves it out of the
     * request and of the bits. -ENOENT: it cannot be asked any of that, or refused, or
     * what it says is not to be relied on; the caller lists instead. Other errors end
     * the query. */
    int (*search)(struct vivo_archive *self, const struct vivo_match *matches, size_t n,
                  uint64_t *answered, struct vivo_intake *in, struct vivo_op *op);

    /* Optional: columns of many series at once, beyond those of list() and search(),
     * that the archive has in a table. Emits, for each of the series (locators that it
     * gave) of which there is a row, a record at VIVO_LEVEL_SERIES with that locator;
     * attrs: who it is (PatientID, UIDs), and what the row has of `describes`, the tags
     * that are gained, 0-terminated. A tag that is left out stays unknown; one without
     * a value is known to be nothing. -ENOENT: it has no such table; headers are read
     * then, as for what no row tells. Other errors end the query. */
    const uint32_t *describes;
    int (*describe)(struct vivo_archive *self, const char *const *series, size_t n,
                    struct vivo_intake *in, struct vivo_op *op);

    /* Optional: appends the URL at which anybody finds the object, without white space
     * or '#'. -ENOENT: it is nowhere. NULL, or
     * -EOPNOTSUPP and nothing appended: file://… for folders, else SOURCE#LOCATOR. */
    int (*url)(struct vivo_archive *self, const char *locator, struct vivo_buf *out);
    /* Optional: the SHA-256 of the object's bytes in hex, where the source has told it
     * and fetch() checks it. false: it has not. */
    bool (*sha256)(const char *locator, char hex[65]);

    /* Optional, VIVO_CAP_WATCH: blocks until the source has changed since the call
     * began, or the op is cancelled (-EINTR). 0 = something changed. */
    int (*watch)(struct vivo_archive *self, struct vivo_op *op);
};

/* Finds the driver by scheme and opens it. -EINVAL: no driver for this source
 * (message lists the schemes). *out: caller closes. */
int vivo_archive_open(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                      struct vivo_err *err);
void vivo_archive_close(struct vivo_archive *a);
int vivo_archive_probe(struct vivo_archive *a, struct vivo_op *op);
int vivo_archive_list(struct vivo_archive *a, enum vivo_level level, const char *parent,
                      struct vivo_intake *in, struct vivo_op *op);
/* n <= VIVO_PREPARE_MAX. -ENOENT, without a request, when the driver cannot. */
#define VIVO_PREPARE_MAX 100 /* nodes of one call */
int vivo_archive_prepare(struct vivo_archive *a, const char *const *nodes, size_t n,
                         struct vivo_op *op);
int vivo_archive_fetch(struct vivo_archive *a, const char *locator,
                       struct vivo_delivery *to, struct vivo_op *op);
int vivo_archive_bundle(struct vivo_archive *a, const char *series_locator,
                        struct vivo_bundle *to, struct vivo_op *op);
int vivo_archive_headers(struct vivo_archive *a, const char *series_locator,
                         struct vivo_intake *in, struct vivo_op *op);
/* -ENOENT, without a request, when the driver cannot search by any of them. */
int vivo_archive_search(struct vivo_archive *a, const struct vivo_match *matches,
                        size_t n, uint64_t *answered, struct vivo_intake *in,
                        struct vivo_op *op);
/* n <= VIVO_DESCRIBE_MAX. -ENOENT, without a request, when the driver cannot. */
#define VIVO_DESCRIBE_MAX 1000 /* series of one call */
int vivo_archive_describe(struct vivo_archive *a, const char *const *series, size_t n,
                          struct vivo_intake *in, struct vivo_op *op);
int vivo_archive_watch(struct vivo_archive *a, struct vivo_op *op);
/* Appends the URL of an object, as the manifest driver takes it. */
int vivo_archive_url(struct vivo_archive *a, const char *locator, struct vivo_buf *out,
                     struct vivo_err *err);
/* "" where the source has told none. */
void vivo_archive_sha256(const struct vivo_archive *a, const char *locator,
                         char hex[65]);
const struct vivo_driver *const *vivo_driver_table(size_t *count);
/* Does this source need the network? An unknown one does not. */
bool vivo_driver_needs_net(const char *source);

#endif
