/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package.h -- exports of archives that lie in a folder.
 *
 * What an archive gives away keeps its own order on disk: folders or lists that name
 * project and subject. A recogniser knows one such order and tells, for each file, the
 * collection and the subject that it belongs to; study and series are those of the
 * header. One table in package.c has them all; src/drivers/README.md, "Packages". */
#ifndef VIVOFS_DRIVERS_PACKAGE_H
#define VIVOFS_DRIVERS_PACKAGE_H

#include "vivofs/error.h"

#include <stdbool.h>

#define VIVO_PACKAGE_TEXT_MAX 256 /* bytes of a label; longer ones are none */

struct vivo_package_place { /* "" = the package does not say */
    char collection[VIVO_PACKAGE_TEXT_MAX + 1];
    char patient[VIVO_PACKAGE_TEXT_MAX + 1]; /* struct vivo_record, member patient */
};

/* What a package says of a collection: its licence, in its own words. */
typedef int vivo_package_words_fn(void *ctx, const char *collection,
                                  const char *license, struct vivo_err *err);

struct vivo_package_files; /* package_map.h: the lists that lie in a folder */

/* One order. */
struct vivo_packager {
    const char *name;
    /* Does the folder hold such a package? 1 and what is known of it (its lists; NULL:
     * there is no folder), 0, or an error, which fails the listing. NULL: it is told by
     * paths alone. Called at the beginning of each listing. */
    int (*look)(const struct vivo_package_files *lists, void **known,
                struct vivo_err *err);
    void (*forget)(void *known);
    /* Where the file of this path, relative to the folder, belongs; false: this order
     * has nothing to say of it. Never guesses: a wrong subject puts two patients into
     * one directory. *out is empty when called. */
    bool (*place)(const void *known, const char *path, struct vivo_package_place *out);
    /* Optional: the licences that lie beside the files. */
    int (*words)(const void *known, int rootfd, vivo_package_words_fn *fn, void *ctx,
                 struct vivo_err *err);
};
extern const struct vivo_packager vivo_package_nbia, vivo_package_xcede,
    vivo_package_ida, vivo_package_xnat;

struct vivo_package; /* what was recognised in one folder */
/* -ENOMEM, or what a recogniser said. rootfd -1: paths alone tell, as within a pack. */
int vivo_package_look(int rootfd, struct vivo_package **out, struct vivo_err *err);
void vivo_package_free(struct vivo_package *p); /* NULL is fine */
/* The first order that has something to say. */
bool vivo_package_place(const struct vivo_package *p, const char *path,
                        struct vivo_package_place *out);
/* Calls fn for each collection whose licence lies beside its files. */
int vivo_package_words(const struct vivo_package *p, int rootfd,
                       vivo_package_words_fn *fn, void *ctx, struct vivo_err *err);

#endif
