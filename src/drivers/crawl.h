/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/crawl.h -- a tree of plain files on a server, listed.
 *
 * Folders are read, several at once, and of each file that is not known its header:
 * what the drivers of web folders and of FTP have in common. Locators are paths
 * relative to the source, decoded, without a slash at either end. */
#ifndef VIVOFS_DRIVERS_CRAWL_H
#define VIVOFS_DRIVERS_CRAWL_H

#include "vivofs/driver.h"

#define VIVO_CRAWL_PATH_MAX 4095
#define VIVO_CRAWL_URL_MAX (3 * VIVO_CRAWL_PATH_MAX + 2048)
#define VIVO_CRAWL_STAMP_MAX 96

struct vivo_crawl_folder; /* one that is being read */

/* Why a folder could not be read. All but the first count, below the top, among the
 * others. */
enum vivo_crawl_flaw {
    VIVO_CRAWL_FAILED,
    VIVO_CRAWL_UNREADABLE, /* not there any more, or not for this account */
    VIVO_CRAWL_PAGE,       /* what came is no list of a folder */
};

struct vivo_crawl {
    struct vivo_archive *archive;
    const char *name; /* of the driver, in the log */
    unsigned threads; /* 0 = 8 */
    bool sized;       /* stamps end in a size, which may be rounded */
    /* Reads a folder, "" or a path that ends in '/', and adds what it holds. */
    int (*folder)(struct vivo_crawl *self, const char *path, enum vivo_crawl_flaw *flaw,
                  struct vivo_crawl_folder *into, struct vivo_op *op);
    /* Makes the request for a file; url is the room for it. */
    int (*request)(struct vivo_crawl *self, const char *path,
                   char url[VIVO_CRAWL_URL_MAX], struct vivo_net_request *rq,
                   struct vivo_err *err);
};

/* One entry. name: decoded, any bytes; what cannot be a name is left out and counted.
 * stamp: what the listing says about the file's time and size, "" = nothing. size: its
 * bytes where it tells them all, else VIVO_SIZE_UNKNOWN. */
int vivo_crawl_entry(struct vivo_crawl_folder *into, const char *name, size_t len,
                     bool folder, const char *stamp, uint64_t size,
                     struct vivo_err *err);

int vivo_crawl_run(struct vivo_crawl *c, struct vivo_intake *in, struct vivo_op *op);

/* Does the name end like those of files that are never DICOM? */
bool vivo_crawl_is_surely_other(const char *path);

/* Delivers the file whole: what a driver's fetch() does. */
int vivo_crawl_fetch(struct vivo_crawl *c, const char *locator,
                     struct vivo_delivery *to, struct vivo_op *op);

/* ---- paths ---------------------------------------------------------------------- */

/* Appends a path to a URL, RFC 3986 section 2.1; -EINVAL: too long. */
int vivo_crawl_url(const char *base, const char *path, const char *tail,
                   char url[VIVO_CRAWL_URL_MAX], struct vivo_err *err);
/* Percent-decodes len bytes to out (as much room); the length, or -1 = not well formed.
 */
long vivo_crawl_decode(const char *s, size_t len, char *out);
/* The same of a link: as in a browser, a percent sign without two digits behind it
 * stands for itself (WHATWG URL, section 1.3). */
long vivo_crawl_decode_link(const char *s, size_t len, char *out);
/* RFC 3986 section 5.2 for paths: where a link of a page leads. base: absolute; both
 * encoded, without query and fragment. false: longer than cap. */
bool vivo_crawl_resolve(const char *base, const char *link, char *out, size_t cap);

#endif
