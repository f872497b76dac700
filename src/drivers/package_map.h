/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_map.h -- what recognisers of packages share: finding the lists of
 * a package, reading its XML, and a map from paths or ids to places. */
#ifndef VIVOFS_DRIVERS_PACKAGE_MAP_H
#define VIVOFS_DRIVERS_PACKAGE_MAP_H

#include "drivers/package.h"

#include "vivofs/buf.h"

#include <stddef.h>

#define VIVO_PACKAGE_ROWS_MAX 4000000u /* of all lists of a package */

/* Keys (a path below the folder, or an archive's id) and where they belong. A key that
 * is told to belong to two places belongs to none. */
struct vivo_package_map {
    struct vivo_arena *arena;
    struct vivo_package_row {
        const char *key, *collection, *patient;
    } * rows;
    size_t n, cap;
    size_t bad; /* rows that cannot be used: contradictions, labels too long */
};
int vivo_package_map_init(struct vivo_package_map *m, struct vivo_err *err);
void vivo_package_map_free(struct vivo_package_map *m);
int vivo_package_map_add(struct vivo_package_map *m, const char *key,
                         const char *collection, const char *patient,
                         struct vivo_err *err);
/* After the last add, before the first find. */
void vivo_package_map_ready(struct vivo_package_map *m);
bool vivo_package_map_find(const struct vivo_package_map *m, const char *key,
                           struct vivo_package_place *out);
/* The entry of the path or of the nearest folder above it. */
bool vivo_package_map_above(const struct vivo_package_map *m, const char *path,
                            struct vivo_package_place *out);

/* A reference in a list that lies in `folder` ("" or with its slash), as a path below
 * the root: '\' is '/', "." and ".." are followed, a file: scheme and percent signs
 * decoded. False: it leads out of the root, or is no path. */
bool vivo_package_path(const char *folder, const char *reference, char *out,
                       size_t cap);

/* What may be a list, by its name (.csv, .xml, .xcede), in the folder and at most two
 * below. What cannot be read is passed over. rootfd is borrowed. */
int vivo_package_files_find(int rootfd, struct vivo_package_files **out,
                            struct vivo_err *err);
void vivo_package_files_free(struct vivo_package_files *s); /* NULL is fine */
/* Calls fn for each of them that is a regular file and whose name ends in `suffix`
 * (without case), in the folder and those at most `depth` below, opened for reading;
 * `folder` as above. Other failures than those of fn are passed over. */
typedef int vivo_package_file_fn(void *ctx, int fd, const char *folder,
                                 const char *name, struct vivo_err *err);
int vivo_package_files(const struct vivo_package_files *s, unsigned depth,
                       const char *suffix, vivo_package_file_fn *fn, void *ctx,
                       struct vivo_err *err);

/* The elements of an XML file, as a stream. Document types are refused, and with them
 * every entity but XML's own five; so are files above 16 MiB. attr(): an attribute of
 * the element being opened, or NULL. depth: 0 = the outermost. */
struct vivo_package_xml {
    void *reader; /* libxml2's */
    void *ctx;
    int (*open)(struct vivo_package_xml *x, int depth, const char *name);
    int (*text)(struct vivo_package_xml *x, int depth, const char *name,
                const char *text);
};
const char *vivo_package_xml_attr(struct vivo_package_xml *x, const char *name,
                                  char *out, size_t cap);
/* 0; -EBADMSG without an error text: not well-formed, or refused; what open and text
 * return, when not 0. */
int vivo_package_xml_read(struct vivo_package_xml *x, int fd);

#endif
