/* SPDX-License-Identifier: Apache-2.0 */
/* tests/oracle/virtual.c -- the reference's virtual attributes: counted and sorted
 * anew over all objects whenever one is asked. Shares nothing with eval.c. */
#include "oracle.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STUDIES_MAX = 64 };

typedef const struct vivo_query_object object;

static int64_t group_of(object *o, enum vivo_level level)
{
    return level == VIVO_LEVEL_PATIENT ? o->patient
           : level == VIVO_LEVEL_STUDY ? o->study
                                       : o->series;
}

/* How many different `of` are there in the `in` of all[self]? INSTANCE: objects. */
static size_t count(object *all, size_t n, size_t self, enum vivo_level of,
                    enum vivo_level in)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        bool fresh = group_of(&all[i], in) == group_of(&all[self], in);
        for (size_t k = 0; fresh && of != VIVO_LEVEL_INSTANCE && k < i; k++)
            fresh = group_of(&all[k], in) != group_of(&all[self], in) ||
                    group_of(&all[k], of) != group_of(&all[i], of);
        found += fresh;
    }
    return found;
}

static long frames(object *all, size_t n, size_t self)
{
    long sum = 0;
    for (size_t i = 0; i < n; i++) {
        char text[32];
        if (all[i].series != all[self].series)
            continue;
        vivo_attrs_text(all[i].attrs, VIVO_TAG_NumberOfFrames, text, sizeof text);
        long v = strtoll(text, NULL, 10);
        sum += v > 0 ? v : 1;
    }
    return sum;
}

static bool modalities(object *all, size_t n, size_t self, char *out)
{
    size_t len = 0;
    *out = '\0';
    for (size_t i = 0; i < n; i++) {
        char text[64];
        if (all[i].study == all[self].study && len + 66 < VIVO_QUERY_COMPUTED_MAX &&
            vivo_attrs_text(all[i].attrs, VIVO_TAG_Modality, text, sizeof text))
            len += (size_t)snprintf(out + len, VIVO_QUERY_COMPUTED_MAX - len, "%s%s",
                                    len ? "\\" : "", text);
    }
    return len > 0;
}

/* ---- the patient's studies in order -------------------------------------------------
 */

struct study {
    char order[128]; /* YYYYMMDD, HHMMSS and fraction, UID */
    int64_t id;
};

static bool order_of(object *o, char out[128])
{
    char date[32];
    char time[32];
    char uid[VIVO_UID_MAX + 1];
    struct tm tm = {0};
    vivo_attrs_text(o->attrs, VIVO_TAG_StudyDate, date, sizeof date);
    vivo_attrs_text(o->attrs, VIVO_TAG_StudyTime, time, sizeof time);
    vivo_attrs_text(o->attrs, VIVO_TAG_StudyInstanceUID, uid, sizeof uid);
    if (strlen(date) != 8 || strspn(date, "0123456789") != 8 ||
        sscanf(date, "%4d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int day = tm.tm_mday;
    int month = tm.tm_mon;
    timegm(&tm);
    if (tm.tm_mday != day || tm.tm_mon != month)
        return false;
    snprintf(out, 128, "%.8s %-16.16s %.64s", date, time, uid);
    return true;
}

static int by_order(const void *a, const void *b)
{
    return strcmp(((const struct study *)a)->order, ((const struct study *)b)->order);
}

static size_t studies(object *all, size_t n, size_t self, struct study out[STUDIES_MAX])
{
    size_t found = 0;
    for (size_t i = 0; i < n && found < STUDIES_MAX; i++) {
        struct study s = {.id = all[i].study};
        size_t k = 0;
        if (all[i].patient != all[self].patient || !order_of(&all[i], s.order))
            continue;
        while (k < found && out[k].id != s.id)
            k++;
        if (k == found)
            out[found++] = s;
        else if (by_order(&s, &out[k]) < 0)
            out[k] = s;
    }
    qsort(out, found, sizeof *out, by_order);
    return found;
}

static time_t day_of(const struct study *s)
{
    struct tm tm = {0};
    sscanf(s->order, "%4d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm) / 86400;
}

static bool place(object *all, size_t n, size_t self, bool day, char *out)
{
    struct study list[STUDIES_MAX];
    size_t found = studies(all, n, self, list);
    for (size_t i = 0; i < found; i++) {
        if (list[i].id != all[self].study)
            continue;
        if (day)
            snprintf(out, VIVO_QUERY_COMPUTED_MAX, "%lld",
                     (long long)(day_of(&list[i]) - day_of(&list[0])));
        else
            snprintf(out, VIVO_QUERY_COMPUTED_MAX, "%zu\\-%zu", i + 1, found - i);
        return true;
    }
    return false;
}

bool vivo_query_oracle_fact(enum vivo_query_virtual which, object *all, size_t n,
                            size_t self, char *out)
{
    size_t v;
    if (which == VIVO_VIRTUAL_INSTANCE_COUNT || which == VIVO_VIRTUAL_SERIES_INSTANCES)
        v = count(all, n, self, VIVO_LEVEL_INSTANCE, VIVO_LEVEL_SERIES);
    else if (which == VIVO_VIRTUAL_STUDY_INSTANCES)
        v = count(all, n, self, VIVO_LEVEL_INSTANCE, VIVO_LEVEL_STUDY);
    else if (which == VIVO_VIRTUAL_STUDY_SERIES)
        v = count(all, n, self, VIVO_LEVEL_SERIES, VIVO_LEVEL_STUDY);
    else if (which == VIVO_VIRTUAL_PATIENT_STUDIES)
        v = count(all, n, self, VIVO_LEVEL_STUDY, VIVO_LEVEL_PATIENT);
    else if (which == VIVO_VIRTUAL_FRAME_COUNT)
        v = (size_t)frames(all, n, self);
    else if (which == VIVO_VIRTUAL_MODALITIES_IN_STUDY)
        return modalities(all, n, self, out);
    else if (which == VIVO_VIRTUAL_STUDY_RANK || which == VIVO_VIRTUAL_STUDY_DAY)
        return place(all, n, self, which == VIVO_VIRTUAL_STUDY_DAY, out);
    else
        return false; /* only the object's source knows */
    snprintf(out, VIVO_QUERY_COMPUTED_MAX, "%zu", v);
    return true;
}

/* ---- of one object ------------------------------------------------------------------
 */

static void look_at_text(struct vivo_query_finding *f, const char *vr, const char *text,
                         unsigned index)
{
    struct vivo_attr a = {.value = (const uint8_t *)text,
                          .len = (uint32_t)strlen(text)};
    memcpy(a.vr, vr, 2);
    vivo_query_oracle_look(f, &a, index);
}

/* By the angle between the normal and each axis: its cosine. */
static void look_at_plane(struct vivo_query_finding *f, struct vivo_attrs ds)
{
    struct vivo_attr a;
    char text[256];
    double v[6];
    char end;
    if (!vivo_attrs_find(ds, 0x00200037, &a) || a.len >= sizeof text ||
        !vivo_query_oracle_vr(a.vr, "DS "))
        return;
    memcpy(text, a.value, a.len);
    text[a.len] = '\0';
    if (sscanf(text, " %lf \\ %lf \\ %lf \\ %lf \\ %lf \\ %lf %c", &v[0], &v[1], &v[2],
               &v[3], &v[4], &v[5], &end) < 6)
        return;
    double x = v[1] * v[5] - v[2] * v[4];
    double y = v[2] * v[3] - v[0] * v[5];
    double z = v[0] * v[4] - v[1] * v[3];
    double least = 0.81 * (x * x + y * y + z * z); /* 0.9 of the length, squared */
    if (!(least >= 1e-12) || isinf(least))
        return;
    look_at_text(f, "CS",
                 x * x >= least   ? "sagittal"
                 : y * y >= least ? "coronal"
                 : z * z >= least ? "axial"
                                  : "oblique",
                 0);
}

static void look_at_planes(struct vivo_query_finding *f, struct vivo_attrs ds)
{
    static const uint32_t groups[] = {0x52009229, 0x52009230};
    struct vivo_attr a;
    if (vivo_attrs_find(ds, 0x00200037, &a)) {
        look_at_plane(f, ds);
        return;
    }
    for (size_t g = 0; g < 2; g++) {
        struct vivo_attrs item;
        if (!vivo_attrs_find(ds, groups[g], &a) || !vivo_query_oracle_vr(a.vr, "SQ "))
            continue;
        struct vivo_attrs items = {a.value, a.len};
        while (vivo_attrs_next_item(&items, &item)) {
            look_at_plane(f, item);
            while (vivo_attrs_next(&item, &a)) {
                struct vivo_attrs macros = {a.value, a.len};
                struct vivo_attrs macro;
                while (vivo_query_oracle_vr(a.vr, "SQ ") &&
                       vivo_attrs_next_item(&macros, &macro))
                    look_at_plane(f, macro);
            }
        }
    }
}

static void look_at_references(struct vivo_query_finding *f, struct vivo_attrs ds,
                               bool nested)
{
    struct vivo_attr a;
    while (vivo_attrs_next(&ds, &a)) {
        struct vivo_attrs items = {a.value, a.len};
        struct vivo_attrs item;
        if (nested &&
            (a.tag == 0x00081155 || a.tag == 0x0020000E || a.tag == 0x0040A124))
            vivo_query_oracle_look(f, &a, 0);
        while (vivo_query_oracle_vr(a.vr, "SQ ") && vivo_attrs_next_item(&items, &item))
            look_at_references(f, item, true);
    }
}

void vivo_query_oracle_virtual(struct vivo_query_finding *f, object *all, size_t n,
                               size_t self)
{
    const struct vivo_query_node *node = f->n;
    const struct vivo_query_path *path = &node->path;
    char text[VIVO_QUERY_COMPUTED_MAX];
    bool back = node->kind == VIVO_QUERY_CMP &&
                (node->cmp == VIVO_CMP_EQ || node->cmp == VIVO_CMP_NE) &&
                node->values[0].text[0] == '-';
    unsigned index = path->computed == VIVO_VIRTUAL_STUDY_RANK ? back ? 2 : 1 : 0;
    if (path->computed == VIVO_VIRTUAL_PLANE)
        look_at_planes(f, all[self].attrs);
    else if (path->computed == VIVO_VIRTUAL_REFERS_TO)
        look_at_references(f, all[self].attrs, false);
    else if (path->known)
        look_at_text(f, path->vr, path->known, 0);
    else if (vivo_query_oracle_fact(path->computed, all, n, self, text))
        look_at_text(f, path->vr, text, index);
}
