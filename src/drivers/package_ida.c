/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_ida.c -- what LONI's Image & Data Archive gives away (ADNI, AIBL,
 * ICBM, PPMI …).
 *
 *     PROJECT/SUBJECT/DESCRIPTION/2012-05-10_15_42_37.0/I303069/…_I303069.dcm
 *
 * below any other folders; older ones have S13408, the series, for the last folder. The
 * table of a collection (CSV, one row an image) and the XML of an image (…_I303069.xml)
 * name the subject by the image's id, for files that were put in another order; where
 * they and the path name different subjects, neither is believed. */
#include "drivers/manifest_text.h"
#include "drivers/package_map.h"

#include "vivofs/base.h"
#include "vivofs/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DEPTH 2 /* folders below which lists are looked for */

struct ida {
    struct vivo_package_map map; /* image id, digits -> place */
    size_t bad;
};

/* ---- ids --------------------------------------------------------------------------
 */

/* "I303069" or "303069" -> "303069"; false: no id. */
static bool id_of(const char *text, size_t len, char out[24])
{
    if (len && toupper((unsigned char)*text) == 'I') {
        text++;
        len--;
    }
    if (!len || len > 20 || strspn(text, "0123456789") < len)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

/* "…_I303069.dcm" -> "303069". */
static bool id_of_file(const char *name, char out[24])
{
    const char *dot = strchr(name, '.');
    const char *end = dot ? dot : name + strlen(name);
    const char *at = end;
    while (at > name && isdigit((unsigned char)at[-1]))
        at--;
    return at - name >= 2 && at[-1] == 'I' && at[-2] == '_' &&
           id_of(at, (size_t)(end - at), out);
}

/* ---- the table --------------------------------------------------------------------
 */

static size_t column(const struct manifest_text *t, const char *name)
{
    size_t i = 0;
    while (i < t->nfields && strcasecmp(t->fields[i], name) != 0)
        i++;
    return i;
}

static int take_rows(struct ida *a, struct manifest_text *t, struct vivo_err *err)
{
    size_t id = column(t, "Image Data ID");
    size_t subject = column(t, "Subject");
    size_t n = t->nfields;
    int rc;
    if (id == n || subject == n)
        return 0; /* another table */
    while ((rc = vivo_manifest_record(t, NULL)) == 1) {
        char digits[24];
        if (t->nfields <= VIVO_MAX(id, subject) ||
            !id_of(t->fields[id], strlen(t->fields[id]), digits)) {
            a->bad++;
            continue;
        }
        rc = vivo_package_map_add(&a->map, digits, "", t->fields[subject], err);
        if (rc < 0)
            return rc;
    }
    a->bad += rc < 0;
    return 0;
}

static int read_table(void *ctx, int fd, const char *folder VIVO_UNUSED,
                      const char *name VIVO_UNUSED, struct vivo_err *err)
{
    struct ida *a = ctx;
    struct manifest_text t;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (vivo_manifest_text_open(path, &t, NULL))
        return 0;
    int rc = vivo_manifest_record(&t, NULL) == 1 ? take_rows(a, &t, err) : 0;
    vivo_manifest_text_close(&t);
    return rc;
}

/* ---- the XML of an image ------------------------------------------------------------
 */

struct about { /* one image */
    bool ours; /* <idaxs> */
    char subject[VIVO_PACKAGE_TEXT_MAX + 1], image[24];
    size_t subjects;
};

static int open_element(struct vivo_package_xml *x, int depth, const char *name)
{
    struct about *o = x->ctx;
    if (depth == 0)
        o->ours = strcmp(name, "idaxs") == 0;
    return depth == 0 && !o->ours ? -ENOENT : 0;
}

/* Images that this one was made from have ids, too (relatedImage …): the first is its
 * own. */
static int take_text(struct vivo_package_xml *x, int depth VIVO_UNUSED,
                     const char *name, const char *text)
{
    struct about *o = x->ctx;
    if (strcmp(name, "subjectIdentifier") == 0) {
        o->subjects++;
        if (strlen(text) < sizeof o->subject)
            snprintf(o->subject, sizeof o->subject, "%s", text);
    } else if (strcmp(name, "imageUID") == 0 && !o->image[0]) {
        id_of(text, strlen(text), o->image);
    }
    return 0;
}

static int read_about(void *ctx, int fd, const char *folder VIVO_UNUSED,
                      const char *name, struct vivo_err *err)
{
    struct ida *a = ctx;
    struct about o = {0};
    char id[24];
    if (!id_of_file(name, id)) /* not of one image */
        return 0;
    struct vivo_package_xml x = {.ctx = &o, .open = open_element, .text = take_text};
    int rc = vivo_package_xml_read(&x, fd);
    if (rc == -ENOENT)
        return 0;
    if (rc || o.subjects != 1 || !o.subject[0] ||
        (o.image[0] && strcmp(o.image, id) != 0)) {
        a->bad++;
        return 0;
    }
    return vivo_package_map_add(&a->map, id, "", o.subject, err);
}

/* ---- the recogniser ---------------------------------------------------------------
 */

static void forget(void *known)
{
    struct ida *a = known;
    vivo_package_map_free(&a->map);
    free(a);
}

static int look(const struct vivo_package_files *lists, void **known,
                struct vivo_err *err)
{
    if (!lists)
        return 1;
    struct ida *a = calloc(1, sizeof *a);
    if (!a)
        return vivo_fail(err, ENOMEM, "no memory for a package");
    int rc = vivo_package_map_init(&a->map, err);
    if (rc == 0)
        rc = vivo_package_files(lists, DEPTH, ".csv", read_table, a, err);
    if (rc == 0)
        rc = vivo_package_files(lists, DEPTH, ".xml", read_about, a, err);
    if (rc) {
        forget(a);
        return rc;
    }
    vivo_package_map_ready(&a->map);
    a->bad += a->map.bad;
    if (a->bad)
        vivo_log(
            VIVO_LOG_WARN, "drivers.package",
            "LONI IDA: %zu images or rows cannot be used; what the files say counts",
            a->bad);
    *known = a;
    return 1;
}

struct part {
    const char *s;
    size_t len;
};

/* The last six parts of a path, the file last; how many there are. */
static size_t last_parts(const char *path, struct part out[6])
{
    const char *end = path + strlen(path);
    size_t n = 0;
    while (n < 6) {
        const char *at = end;
        while (at > path && at[-1] != '/')
            at--;
        out[n++] = (struct part){at, (size_t)(end - at)};
        if (at == path)
            break;
        end = at - 1;
    }
    return n;
}

/* "2012-05-10_15_42_37.0" */
static bool is_time(const struct part *p)
{
    static const char form[] = "0000-00-00_00_00_00.0";
    if (p->len < sizeof form - 1 || p->len > sizeof form + 6)
        return false;
    for (size_t i = 0; i < p->len; i++) {
        char want = i < sizeof form - 1 ? form[i] : '0';
        if (want == '0' ? !isdigit((unsigned char)p->s[i]) : p->s[i] != want)
            return false;
    }
    return true;
}

static bool is_id(const struct part *p)
{
    char out[24];
    return p->len > 1 && (*p->s == 'I' || *p->s == 'S') &&
           id_of(p->s + 1, p->len - 1, out);
}

static void copy(const struct part *p, char out[VIVO_PACKAGE_TEXT_MAX + 1])
{
    size_t n = p->len > VIVO_PACKAGE_TEXT_MAX ? 0 : p->len;
    memcpy(out, p->s, n);
    out[n] = '\0';
}

/* In order: part[0] the file, [1] its id, [2] the time, [3] the description. */
static bool place_by_path(const char *path, struct vivo_package_place *out)
{
    struct part part[6];
    if (last_parts(path, part) < 6 || !is_id(&part[1]) || !is_time(&part[2]))
        return false;
    copy(&part[4], out->patient);
    copy(&part[5], out->collection);
    return out->patient[0] && out->collection[0];
}

static bool place(const void *known, const char *path, struct vivo_package_place *out)
{
    const struct ida *a = known;
    struct vivo_package_place listed = {"", ""};
    struct part part[6];
    const char *slash = strrchr(path, '/');
    char id[24];
    bool by_path = place_by_path(path, out);
    bool has_id = id_of_file(slash ? slash + 1 : path, id);
    if (!has_id && by_path && last_parts(path, part) == 6 && *part[1].s == 'I')
        has_id = id_of(part[1].s, part[1].len, id);
    if (!a || !has_id || !vivo_package_map_find(&a->map, id, &listed))
        return by_path;
    if (by_path)
        return strcmp(listed.patient, out->patient) == 0;
    *out = listed;
    return true;
}

const struct vivo_packager vivo_package_ida = {
    .name = "LONI IDA",
    .look = look,
    .forget = forget,
    .place = place,
};
