/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package.c -- see package.h. */
#include "package.h"
#include "package_map.h"

#include "vivofs/base.h"

#include <errno.h>

/* In order: those that read lists of their own before those that only look at paths. */
static const struct vivo_packager *const packagers[] = {
    &vivo_package_nbia,
    &vivo_package_xcede,
    &vivo_package_ida,
    &vivo_package_xnat,
};

struct vivo_package {
    bool there[VIVO_ARRAY_LEN(packagers)];
    void *known[VIVO_ARRAY_LEN(packagers)];
};

static int look(struct vivo_package *p, const struct vivo_package_files *lists,
                struct vivo_err *err)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(packagers); i++) {
        int rc = packagers[i]->look ? packagers[i]->look(lists, &p->known[i], err) : 1;
        if (rc < 0)
            return rc;
        p->there[i] = rc > 0;
    }
    return 0;
}

int vivo_package_look(int rootfd, struct vivo_package **out, struct vivo_err *err)
{
    struct vivo_package *p = calloc(1, sizeof *p);
    struct vivo_package_files *lists = NULL;

    if (!p)
        return vivo_fail(err, ENOMEM, "no memory for a package");
    int rc = rootfd < 0 ? 0 : vivo_package_files_find(rootfd, &lists, err);
    if (rc == 0)
        rc = look(p, lists, err);
    vivo_package_files_free(lists);
    if (rc < 0) {
        vivo_package_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void vivo_package_free(struct vivo_package *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(packagers); i++)
        if (p->known[i] && packagers[i]->forget)
            packagers[i]->forget(p->known[i]);
    free(p);
}

bool vivo_package_place(const struct vivo_package *p, const char *path,
                        struct vivo_package_place *out)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(packagers); i++) {
        out->collection[0] = out->patient[0] = '\0';
        if (p->there[i] && packagers[i]->place(p->known[i], path, out))
            return true;
    }
    return false;
}

int vivo_package_words(const struct vivo_package *p, int rootfd,
                       vivo_package_words_fn *fn, void *ctx, struct vivo_err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < VIVO_ARRAY_LEN(packagers); i++)
        if (p->there[i] && packagers[i]->words)
            rc = packagers[i]->words(p->known[i], rootfd, fn, ctx, err);
    return rc;
}
