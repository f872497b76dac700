/* SPDX-License-Identifier: Apache-2.0 */
/* tests/lib/pack_make.h -- writes zips and tars of things that look like DICOM, and
 * reads them through the driver. A failure here fails the test. */
#ifndef VIVOFS_TESTS_PACK_MAKE_H
#define VIVOFS_TESTS_PACK_MAKE_H

#include "collect.h"

struct archive;

struct kind {
    const char *name; /* of the file */
    bool zip;
    const char *filter, *options; /* of libarchive, or NULL; password: "secret" */
};
extern const struct kind kinds[];
extern const size_t n_kinds;
enum { ZIP, STORED, TAR, TAR_GZ }; /* the first of them */

struct pen { /* an archive that is being written, in a folder of its own */
    char *dir, *path;
    struct archive *a;
};
void pen_open(struct pen *p, const struct kind *k);
void pen_entry(struct pen *p, const char *name, unsigned type, uint64_t size,
               const char *link);
void pen_data(struct pen *p, const void *data, size_t len);
void pen_file(struct pen *p, const char *name, const void *data, size_t len);
void pen_object(struct pen *p, const char *name, size_t len, unsigned n);
void pen_close(struct pen *p);
void pen_free(struct pen *p);

/* Something that looks like DICOM and differs by n; at least 200 bytes; malloc'd. */
uint8_t *make_object(size_t len, unsigned n);

int try_open(const char *path, struct vivo_archive **a, struct vivo_err *err);
struct vivo_archive *open_archive(const char *path);
/* Fetches; only the verdict. */
int fetch_code(struct vivo_archive *a, const char *locator);
void assert_object(struct vivo_archive *a, const char *locator, size_t len, unsigned n);

#endif
