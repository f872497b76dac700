/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/type.c -- the type of an attribute in objects of a SOP class.
 *
 * PS3.3's tables are read on the first question (about 30 ms). Answers are kept in
 * one byte for each class and dictionary row, worked out when first asked for; two
 * threads that work out the same byte write the same value, so bytes are atomic
 * and there is no lock. */
#include "vivofs/dcm.h"

#include "vivofs/log.h"

#include "gdcm.h"
#include "tables.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CLASSES_MAX 256

static struct class_types {
    char uid[VIVO_UID_MAX + 1];
    int number;                             /* GDCM's */
    _Atomic(_Atomic unsigned char *) known; /* one byte a dictionary row; 0 = not yet */
} classes[CLASSES_MAX];
static size_t nclasses;

static pthread_once_t loading = PTHREAD_ONCE_INIT;
static bool loaded; /* written once under `loading` */

static int add_class(void *ctx, int number, const char *uid)
{
    (void)ctx;
    size_t len = strlen(uid);
    if (nclasses == CLASSES_MAX || len > VIVO_UID_MAX)
        return 0;
    memcpy(classes[nclasses].uid, uid, len + 1);
    classes[nclasses].number = number;
    nclasses++;
    return 0;
}

static int compare_classes(const void *a, const void *b)
{
    return strcmp(a, b); /* uid is the first member */
}

int vivo_dcm_type_build(struct vivo_err *err)
{
    nclasses = 0;
    if (vivo_gdcm_classes(add_class, NULL) < 0)
        return vivo_fail(err, EIO, "SOP classes: GDCM's table could not be copied");
    qsort(classes, nclasses, sizeof classes[0], compare_classes);
    return 0;
}

static void load(void)
{
    loaded = vivo_gdcm_load_types() == 0;
    if (!loaded)
        vivo_log(VIVO_LOG_WARN, "dcm.type",
                 "GDCM's Part3.xml was not found: attribute types are unknown, so "
                 "de-identification uses the stricter rule");
}

/* The bytes of a class, made on first use; NULL = out of memory. */
static _Atomic unsigned char *bytes_of(struct class_types *c, size_t rows)
{
    _Atomic unsigned char *known =
        atomic_load_explicit(&c->known, memory_order_acquire);
    if (known)
        return known;
    _Atomic unsigned char *fresh = calloc(rows, sizeof *fresh);
    if (!fresh)
        return NULL;
    if (atomic_compare_exchange_strong(&c->known, &known, fresh))
        return fresh;
    free(fresh);
    return known;
}

char vivo_dcm_type(const char *sop_class, uint32_t tag)
{
    char key[sizeof classes[0].uid];
    size_t len = strlen(sop_class);
    if (len > VIVO_UID_MAX)
        return 0;
    memcpy(key, sop_class, len + 1);
    struct class_types *c =
        bsearch(key, classes, nclasses, sizeof classes[0], compare_classes);
    const struct vivo_dict *row = vivo_dcm_dict(tag);
    if (!c || !row)
        return 0;
    pthread_once(&loading, load);
    if (!loaded)
        return 0;
    size_t rows;
    size_t at = (size_t)(row - vivo_dcm_dict_all(&rows));
    _Atomic unsigned char *known = bytes_of(c, rows);
    unsigned char type =
        known ? atomic_load_explicit(&known[at], memory_order_relaxed) : 0;
    if (type == 0) {
        char found = vivo_gdcm_type(c->number, row->tag);
        type = found ? (unsigned char)found : '-';
        if (known)
            atomic_store_explicit(&known[at], type, memory_order_relaxed);
    }
    return type == '-' ? 0 : (char)type;
}
