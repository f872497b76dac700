/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomweb_memory.c -- attributes of studies and series listed lately:
 * a direct-mapped table, so bounded by its size. */
#include "dicomweb.h"

#include <stdio.h>
#include <string.h>

#define SLOTS 256
#define KEEP_MS (5 * 60 * 1000)
#define ATTRS_MAX 8192 /* longer ones are asked for again */

struct slot {
    char locator[2 * VIVO_UID_MAX + 2];
    int64_t until_ms;
    struct vivo_buf attrs;
};

struct dicomweb_memory {
    pthread_mutex_t mutex;
    struct slot slots[SLOTS]; /* guarded by mutex */
};

struct dicomweb_memory *vivo_dicomweb_memory_new(void)
{
    struct dicomweb_memory *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    pthread_mutex_init(&m->mutex, NULL);
    for (size_t i = 0; i < SLOTS; i++)
        vivo_buf_init(&m->slots[i].attrs, ATTRS_MAX);
    return m;
}

void vivo_dicomweb_memory_free(struct dicomweb_memory *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        vivo_buf_free(&m->slots[i].attrs);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

/* FNV-1a. */
static struct slot *slot_of(struct dicomweb_memory *m, const char *locator)
{
    uint32_t h = 2166136261u;
    for (const char *p = locator; *p; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return &m->slots[h % SLOTS];
}

void vivo_dicomweb_memory_put(struct dicomweb_memory *m, const char *locator,
                              struct vivo_attrs attrs)
{
    struct slot *s = slot_of(m, locator);
    if (strlen(locator) >= sizeof s->locator)
        return;
    pthread_mutex_lock(&m->mutex);
    s->locator[0] = '\0';
    vivo_buf_clear(&s->attrs);
    if (vivo_buf_add(&s->attrs, attrs.data, attrs.len) == 0) {
        snprintf(s->locator, sizeof s->locator, "%s", locator);
        s->until_ms = vivo_now_ms() + KEEP_MS;
    }
    pthread_mutex_unlock(&m->mutex);
}

bool vivo_dicomweb_memory_get(struct dicomweb_memory *m, const char *locator,
                              struct vivo_buf *out)
{
    struct slot *s = slot_of(m, locator);
    pthread_mutex_lock(&m->mutex);
    bool found = strcmp(s->locator, locator) == 0 && vivo_now_ms() < s->until_ms &&
                 vivo_buf_add(out, s->attrs.data, s->attrs.len) == 0;
    pthread_mutex_unlock(&m->mutex);
    return found;
}
