/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_xcede.c -- XCEDE 2 catalogues (fBIRN and the Human Imaging
 * Database): XML beside the files, which names each by a `uri` relative to itself.
 *
 * Project and subject come from attributes (projectID, subjectID) of the resource or of
 * what is around it, from the acquisition that it belongs to (acquisitionID, or a
 * dataResourceRef of the acquisition), or from the one project and subject that the
 * file speaks of. What one file says in two ways is not believed. */
#include "drivers/package_map.h"

#include "vivofs/base.h"
#include "vivofs/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define DEPTH 2 /* folders below which catalogues are looked for */
#define LEVELS 64
#define ID_MAX VIVO_PACKAGE_TEXT_MAX

struct xcede {
    struct vivo_package_map map;
    size_t bad;
};

struct who {
    char project[ID_MAX + 1], subject[ID_MAX + 1];
};

struct uri { /* one of the catalogue's; all in the arena */
    const char *path, *resource, *acquisition;
    struct who who;
};

struct catalogue { /* one XML file */
    struct xcede *xcede;
    const char *folder;
    struct who at[LEVELS]; /* what holds for the element open at a depth */
    char resource[LEVELS][ID_MAX + 1], acquisition[LEVELS][ID_MAX + 1];
    struct vivo_package_map owners; /* "r:ID" of resources, "a:ID" of acquisitions */
    struct uri *uris;
    size_t n, cap, projects, subjects;
    struct who only;
    struct vivo_err *err;
};

/* ---- elements -----------------------------------------------------------------------
 */

static void inherit(struct catalogue *c, int depth)
{
    if (depth == 0) {
        c->at[0] = (struct who){0};
        c->resource[0][0] = c->acquisition[0][0] = '\0';
        return;
    }
    c->at[depth] = c->at[depth - 1];
    memcpy(c->resource[depth], c->resource[depth - 1], ID_MAX + 1);
    memcpy(c->acquisition[depth], c->acquisition[depth - 1], ID_MAX + 1);
}

static void note_only(char only[ID_MAX + 1], size_t *count, const char *id)
{
    if (*count && strcmp(only, id) == 0)
        return;
    snprintf(only, ID_MAX + 1, "%s", id);
    ++*count;
}

static int own(struct catalogue *c, char kind, const char *id, const struct who *who)
{
    char key[ID_MAX + 4];
    if (!who->subject[0])
        return 0;
    snprintf(key, sizeof key, "%c:%s", kind, id);
    return vivo_package_map_add(&c->owners, key, who->project, who->subject, c->err);
}

static int take_uri(struct catalogue *c, int depth, const char *text)
{
    char path[PATH_MAX];
    if (!vivo_package_path(c->folder, text, path, sizeof path)) {
        c->xcede->bad++;
        return 0;
    }
    struct uri *uris =
        vivo_array_grow(c->uris, c->n, &c->cap, sizeof *uris, VIVO_ARRAY_MAX);
    if (!uris)
        return vivo_fail(c->err, ENOMEM, "no memory for a package");
    c->uris = uris;
    struct vivo_arena *arena = c->owners.arena;
    const char *resource = c->resource[depth];
    const char *acquisition = c->acquisition[depth];
    c->uris[c->n] = (struct uri){
        .path = vivo_arena_strndup(arena, path, strlen(path)),
        .resource = vivo_arena_strndup(arena, resource, strlen(resource)),
        .acquisition = vivo_arena_strndup(arena, acquisition, strlen(acquisition)),
        .who = c->at[depth],
    };
    if (!c->uris[c->n].path || !c->uris[c->n].resource || !c->uris[c->n].acquisition)
        return vivo_fail(c->err, ENOMEM, "no memory for a package");
    c->n++;
    return 0;
}

static bool is_resource(const char *name)
{
    size_t n = strlen(name);
    return strcmp(name, "resource") == 0 || strcmp(name, "entry") == 0 ||
           (n > 8 && strcmp(name + n - 8, "Resource") == 0);
}

static int open_element(struct vivo_package_xml *x, int depth, const char *name)
{
    struct catalogue *c = x->ctx;
    char id[ID_MAX + 1] = "", text[PATH_MAX];
    if (depth == 0 && strcmp(name, "XCEDE") != 0)
        return -ENOENT;
    inherit(c, depth);
    struct who *who = &c->at[depth];
    vivo_package_xml_attr(x, "projectID", who->project, sizeof who->project);
    vivo_package_xml_attr(x, "subjectID", who->subject, sizeof who->subject);
    vivo_package_xml_attr(x, "acquisitionID", c->acquisition[depth], ID_MAX + 1);
    bool has_id = vivo_package_xml_attr(x, "ID", id, sizeof id) != NULL;
    if (has_id && strcmp(name, "project") == 0)
        memcpy(who->project, id, sizeof id);
    if (has_id && strcmp(name, "subject") == 0)
        memcpy(who->subject, id, sizeof id);
    if (who->project[0])
        note_only(c->only.project, &c->projects, who->project);
    if (who->subject[0])
        note_only(c->only.subject, &c->subjects, who->subject);
    if (has_id && is_resource(name))
        memcpy(c->resource[depth], id, sizeof id);
    int rc = 0;
    if (has_id && strcmp(name, "acquisition") == 0) {
        memcpy(c->acquisition[depth], id, sizeof id);
        rc = own(c, 'a', id, who);
    } else if (has_id && strcmp(name, "dataResourceRef") == 0) {
        rc = own(c, 'r', id, who);
    }
    if (rc == 0 && (vivo_package_xml_attr(x, "uri", text, sizeof text) ||
                    vivo_package_xml_attr(x, "URI", text, sizeof text)))
        rc = take_uri(c, depth, text);
    return rc;
}

static int take_text(struct vivo_package_xml *x, int depth, const char *name,
                     const char *text)
{
    char word[PATH_MAX];
    size_t at = strspn(text, " \t\r\n");
    size_t n = strlen(text + at);
    while (n && strchr(" \t\r\n", text[at + n - 1]))
        n--;
    if (strcmp(name, "uri") != 0 || !n || n >= sizeof word)
        return 0;
    memcpy(word, text + at, n);
    word[n] = '\0';
    return take_uri(x->ctx, depth, word);
}

/* ---- a catalogue
 * --------------------------------------------------------------------- */

/* Whose a file is, by everything that says so; false: nothing, or two things. */
static bool owner_of(const struct catalogue *c, const struct uri *u, struct who *out)
{
    struct vivo_package_place by[2] = {{"", ""}, {"", ""}};
    char key[ID_MAX + 4];
    *out = u->who;
    snprintf(key, sizeof key, "r:%s", u->resource);
    vivo_package_map_find(&c->owners, key, &by[0]);
    snprintf(key, sizeof key, "a:%s", u->acquisition);
    vivo_package_map_find(&c->owners, key, &by[1]);
    for (size_t i = 0; i < 2; i++) {
        if (!by[i].patient[0])
            continue;
        if (out->subject[0] && strcmp(out->subject, by[i].patient) != 0)
            return false;
        memcpy(out->subject, by[i].patient, sizeof out->subject);
        if (by[i].collection[0])
            memcpy(out->project, by[i].collection, sizeof out->project);
    }
    if (!out->subject[0] && c->subjects == 1)
        memcpy(out->subject, c->only.subject, sizeof out->subject);
    if (!out->project[0] && c->projects == 1)
        memcpy(out->project, c->only.project, sizeof out->project);
    return out->subject[0] != '\0';
}

static int finish(struct catalogue *c)
{
    int rc = 0;
    vivo_package_map_ready(&c->owners);
    c->xcede->bad += c->owners.bad;
    for (size_t i = 0; rc == 0 && i < c->n; i++) {
        struct who who;
        if (owner_of(c, &c->uris[i], &who))
            rc = vivo_package_map_add(&c->xcede->map, c->uris[i].path, who.project,
                                      who.subject, c->err);
        else
            c->xcede->bad++;
    }
    return rc;
}

static int read_catalogue(void *ctx, int fd, const char *folder,
                          const char *name VIVO_UNUSED, struct vivo_err *err)
{
    struct catalogue *c = calloc(1, sizeof *c);
    if (!c || vivo_package_map_init(&c->owners, err)) {
        free(c);
        return vivo_fail(err, ENOMEM, "no memory for a package");
    }
    c->xcede = ctx;
    c->folder = folder;
    c->err = err;
    struct vivo_package_xml x = {.ctx = c, .open = open_element, .text = take_text};
    int rc = vivo_package_xml_read(&x, fd);
    if (rc == 0)
        rc = finish(c);
    else if (rc == -ENOENT || rc == -EBADMSG) { /* of something else; broken */
        c->xcede->bad += rc == -EBADMSG;
        rc = 0;
    }
    vivo_package_map_free(&c->owners);
    free(c->uris);
    free(c);
    return rc;
}

/* ---- the recogniser
 * ------------------------------------------------------------------ */

static void forget(void *known)
{
    struct xcede *x = known;
    vivo_package_map_free(&x->map);
    free(x);
}

static int look(const struct vivo_package_files *lists, void **known,
                struct vivo_err *err)
{
    if (!lists)
        return 0;
    struct xcede *x = calloc(1, sizeof *x);
    if (!x)
        return vivo_fail(err, ENOMEM, "no memory for a package");
    int rc = vivo_package_map_init(&x->map, err);
    if (rc == 0)
        rc = vivo_package_files(lists, DEPTH, ".xml", read_catalogue, x, err);
    if (rc == 0)
        rc = vivo_package_files(lists, DEPTH, ".xcede", read_catalogue, x, err);
    if (rc == 0) {
        vivo_package_map_ready(&x->map);
        x->bad += x->map.bad;
    }
    if (rc == 0 && x->bad)
        vivo_log(VIVO_LOG_WARN, "drivers.package",
                 "XML beside the files: %zu files or entries cannot be used; what the "
                 "files say counts",
                 x->bad);
    if (rc || !x->map.n) {
        forget(x);
        return rc;
    }
    *known = x;
    return 1;
}

static bool place(const void *known, const char *path, struct vivo_package_place *out)
{
    const struct xcede *x = known;
    return x && vivo_package_map_above(&x->map, path, out);
}

const struct vivo_packager vivo_package_xcede = {
    .name = "XCEDE",
    .look = look,
    .forget = forget,
    .place = place,
};
