/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dimse.h -- what the files of the DIMSE driver share. */
#ifndef VIVOFS_DRIVERS_DIMSE_H
#define VIVOFS_DRIVERS_DIMSE_H

#include "dicomweb.h"
#include "gate.h"

#include "vivofs/dimse.h"
#include "vivofs/driver.h"

#include <pthread.h>

#define DIMSE_STUDY_FIND "1.2.840.10008.5.1.4.1.2.2.1"
#define DIMSE_STUDY_MOVE "1.2.840.10008.5.1.4.1.2.2.2"
#define DIMSE_STUDY_GET "1.2.840.10008.5.1.4.1.2.2.3"
#define DIMSE_PATIENT_FIND "1.2.840.10008.5.1.4.1.2.1.1"
#define DIMSE_PATIENT_MOVE "1.2.840.10008.5.1.4.1.2.1.2"
#define DIMSE_PATIENT_GET "1.2.840.10008.5.1.4.1.2.1.3"
#define DIMSE_VERIFICATION "1.2.840.10008.1.1"
#define DIMSE_RATE 5 /* requests a second unless told otherwise */
#define DIMSE_TITLE_MAX 16
#define DIMSE_KIND_MAX (VIVO_UID_MAX + 1)
#define DIMSE_CLASSES_MAX 6 /* of one association, each in every transfer syntax */

/* Which information model is asked by (PS3.4 annex C.6). */
enum dimse_root { DIMSE_ROOT_UNKNOWN, DIMSE_ROOT_STUDY, DIMSE_ROOT_PATIENT };

/* What the objects to come may be: SOP class UIDs with spaces between, a modality, or
 * "" for none, and which part of the kinds there are. */
struct dimse_kind {
    char name[DIMSE_CLASSES_MAX * (VIVO_UID_MAX + 1)];
    unsigned part;
};

struct dimse {
    struct vivo_archive base;
    char *host, *cafile, *certname; /* certname: NULL = not asked for */
    unsigned port, move_port, associations, rate;
    bool tls, any_name; /* any_name: the certificate may be for anybody */
    char calling[DIMSE_TITLE_MAX + 1], called[DIMSE_TITLE_MAX + 1];
    int64_t timeout_ms;
    struct dicomweb_memory *memory;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned busy, waiting;   /* guarded by mutex, as all below */
    int64_t next_ms;          /* when the next request may go */
    struct vivo_dimse *spare; /* handed from one request to one that waits */
    struct dimse_kind spare_kind;
    bool moving;        /* the port for C-MOVE is in use */
    atomic_int root;    /* enum dimse_root; not guarded */
    atomic_bool no_get; /* C-GET fails where C-MOVE does not; not guarded */
    unsigned cap;       /* the longest answer that the server gives; 0 = not known */
};
static inline struct dimse *dimse_of(struct vivo_archive *a)
{
    return (struct dimse *)a; /* first member */
}

/* ---- locators (dimse_locator.c) ---------------------------------------------- */

#define DIMSE_PATIENT_MAX 256u /* bytes: 64 characters of LO in UTF-8 */

/* "STUDY", "STUDY/SERIES", "STUDY/SERIES/INSTANCE[/KIND]"; of servers that know the
 * Patient Root only behind "~PATIENT/", the PatientID in hexadecimal. */
struct dimse_place {
    bool of_patient; /* patient counts, which may be "" */
    char patient[DIMSE_PATIENT_MAX + 1];
    char study[VIVO_UID_MAX + 1], series[VIVO_UID_MAX + 1], instance[VIVO_UID_MAX + 1];
    char kind[DIMSE_KIND_MAX];
};
#define DIMSE_HEAD_MAX (2 * DIMSE_PATIENT_MAX + 3)
#define DIMSE_LOCATOR_MAX (4 * (VIVO_UID_MAX + 1) + DIMSE_HEAD_MAX)
/* "~PATIENT/" or "". */
void vivo_dimse_place_head(const struct dimse_place *p, char out[DIMSE_HEAD_MAX]);
int vivo_dimse_place_read(const char *locator, enum vivo_level level,
                          struct dimse_place *out, struct vivo_err *err);
bool vivo_dimse_kind_ok(const char *kind);

/* ---- associations (dimse_line.c) --------------------------------------------- */

/* Waits for its turn and for the pace, then gives an association that was handed on, or
 * a new one. kind NULL = for questions only. *used: it was handed on, so that the
 * server may have given it up meanwhile. */
int vivo_dimse_line_get(struct dimse *d, const struct dimse_kind *kind,
                        struct vivo_dimse **out, bool *used, struct vivo_op *op);
/* By which root this server is asked; connects if that is not known yet. */
int vivo_dimse_root(struct dimse *d, enum dimse_root *out, struct vivo_op *op);
void vivo_dimse_line_put(struct dimse *d, struct vivo_dimse *line,
                         const struct dimse_kind *kind);

/* ---- kinds of objects (dimse_kinds.c) ------------------------------------------ */

struct dimse_offers {
    struct vivo_dimse_offer offer[VIVO_DIMSE_CONTEXTS_MAX];
    size_t n;
    char uids[DIMSE_CLASSES_MAX][VIVO_UID_MAX + 1]; /* that the offers point to */
};
/* Adds contexts for objects of this kind. */
void vivo_dimse_kinds_offer(const struct dimse_kind *kind, struct dimse_offers *o);
/* Is there such a part? There is always a first one. */
bool vivo_dimse_kinds_has(const struct dimse_kind *kind);

/* ---- objects (dimse_object.c, dimse_bring.c) ----------------------------------- */

/* One that comes: behind a file meta of our own, which is checked to be the right one.
 * Zeroed before the first. */
struct dimse_object {
    struct vivo_gate gate;
    uint64_t bytes;
    int verdict; /* what the receiver returned, which may be anything but 0 */
};
/* uid, to: borrowed until the end. */
int vivo_dimse_object_begin(struct dimse_object *o, const char *uid,
                            struct vivo_delivery *to, const char *sop_class,
                            const char *syntax, struct vivo_err *err);
/* -EINTR: o->verdict is to be returned. */
int vivo_dimse_object_bytes(struct dimse_object *o, const void *data, size_t len,
                            struct vivo_err *err);
int vivo_dimse_object_end(struct dimse_object *o, struct vivo_err *err);

/* One request for objects: an instance, or a series where place->instance is "". */
struct dimse_request {
    const struct dimse_place *place;
    struct dimse_kind kind;
    struct vivo_dimse_taker *to;
    const bool *begun; /* something came: nothing is asked for twice */
};
/* By C-GET, or by C-MOVE where that is refused. 0 = an answer came. */
int vivo_dimse_bring(struct dimse *d, const struct dimse_request *rq,
                     struct vivo_dimse_result *result, struct vivo_op *op);
/* Objects may be of kinds that were not offered. */
bool vivo_dimse_not_offered(const struct vivo_dimse_result *result);

/* ---- the objects of a series (dimse_members.c) ----------------------------------- */

struct dimse_member {
    const char *locator; /* as list() gives it */
    char uid[VIVO_UID_MAX + 1];
    bool came;
};
struct dimse_members {
    struct vivo_buf locators; /* each with its NUL */
    struct dimse_member *all; /* in order of UID */
    size_t n;
    struct dimse_kind kind; /* of them all */
};
/* Asks for them. in: hears of what is no object, and that something came; its record is
 * not used. */
int vivo_dimse_members(struct vivo_archive *self, const char *series,
                       struct vivo_intake *in, struct dimse_members *out,
                       struct vivo_op *op);
struct dimse_member *vivo_dimse_member(const struct dimse_members *m, const char *uid);
void vivo_dimse_members_free(struct dimse_members *m); /* zeroed ones are fine */
/* All of them by one request (dimse_bundle.c), as for bundle(): -EIO where some did not
 * come; `came` says which did. */
int vivo_dimse_bring_all(struct dimse *d, const char *series,
                         struct dimse_members *members, struct vivo_bundle *to,
                         struct vivo_op *op);

/* ---- questions (dimse_find.c) --------------------------------------------------- */

#define DIMSE_KEYS_MAX 96
struct dimse_keys {
    const char *level; /* "STUDY" … */
    struct {
        uint32_t tag;
        const char *value;
    } key[DIMSE_KEYS_MAX];
    size_t n;
};
/* A key to match, in UTF-8; "" = to be returned. Once for each tag; a later value takes
 * the place of an empty one. */
void vivo_dimse_keys_add(struct dimse_keys *k, uint32_t tag, const char *value);
void vivo_dimse_keys_drop(struct dimse_keys *k, uint32_t tag);
const char *vivo_dimse_keys_value(const struct dimse_keys *k, uint32_t tag); /* or "" */
/* The unique keys of this place, as far down as it says. */
void vivo_dimse_keys_place(struct dimse_keys *k, const struct dimse_place *p);
/* As explicit little endian. */
int vivo_dimse_keys_write(const struct dimse_keys *k, struct vivo_buf *out,
                          struct vivo_err *err);

/* Gets each answer, in attrs form, with the keys that were asked for and no others. */
typedef int dimse_row_fn(void *ctx, struct vivo_attrs row, struct vivo_err *err);
struct dimse_answer {
    size_t rows;
    unsigned status;
};
/* 0 = the server came to an end, with answer->status. */
int vivo_dimse_ask(struct dimse *d, const struct dimse_keys *k, dimse_row_fn *fn,
                   void *ctx, struct dimse_answer *answer, struct vivo_op *op);
/* The sentence for a status that is no success. */
int vivo_dimse_status_fail(unsigned status, const char *what, struct vivo_err *err);

/* ---- studies (dimse_studies.c) ----------------------------------------------------
 */

struct dimse_studies {
    struct dimse *d;
    const struct dimse_keys *keys; /* without StudyDate and StudyTime */
    const char *from, *to;         /* StudyDate, YYYYMMDD, both included; NULL = open */
    dimse_row_fn *fn;              /* each study once */
    void *ctx;
};
/* All studies that match; split by date where the server cuts its answers. */
int vivo_dimse_studies(const struct dimse_studies *s, struct vivo_op *op);
/* The same, with these keys only, whatever the root. */
int vivo_dimse_studies_asked(const struct dimse_studies *s, struct vivo_op *op);

/* ---- Patient Root only (dimse_patients.c) ------------------------------------------
 */

/* The same, patient by patient. */
int vivo_dimse_studies_by_patient(const struct dimse_studies *s, struct vivo_op *op);
/* Of a question below patients: of their keys none but this PatientID. */
void vivo_dimse_keys_patient(struct dimse_keys *k, const char *id);
/* What the server says of a patient, appended; nothing where that is not certain. */
int vivo_dimse_patient(struct dimse *d, const char *id, struct vivo_buf *out,
                       struct vivo_op *op);

/* ---- the callbacks ------------------------------------------------------------------
 */

int vivo_dimse_list(struct vivo_archive *self, enum vivo_level level,
                    const char *parent, struct vivo_intake *in, struct vivo_op *op);
int vivo_dimse_fetch(struct vivo_archive *self, const char *locator,
                     struct vivo_delivery *to, struct vivo_op *op);
int vivo_dimse_bundle(struct vivo_archive *self, const char *series,
                      struct vivo_bundle *to, struct vivo_op *op);
int vivo_dimse_search(struct vivo_archive *self, const struct vivo_match *matches,
                      size_t n, uint64_t *answered, struct vivo_intake *in,
                      struct vivo_op *op);
int vivo_dimse_headers(struct vivo_archive *self, const char *series,
                       struct vivo_intake *in, struct vivo_op *op);
extern const uint32_t vivo_dimse_searches[];

/* Fields of each level, asked for and listed; 0-terminated (dimse_list.c). */
extern const uint32_t vivo_dimse_study_fields[];
int vivo_dimse_emit_study(struct dimse *d, struct vivo_attrs row,
                          struct vivo_intake *in, struct vivo_err *err);

#endif
