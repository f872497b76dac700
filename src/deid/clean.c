/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/clean.c -- a text without what identifies (PS3.15 E.3.5).
 *
 * Decode, decide about letters, cut bytes: what is left is still in the element's own
 * character set. It is looked at again until there is nothing more to cut, since what
 * is cut out may bring other things together. */
#include "options.h"

#include <errno.h>
#include <string.h>

#define ROUNDS_MAX 8

/* Encoded data, or an attack: no text. */
static void cut_endless(struct vivo_letters *t)
{
    for (uint32_t i = 0, j; i < t->n; i = j + 1) {
        for (j = i; j < t->n && vivo_letter_in_word(&t->l[j]) &&
                    !vivo_letter_is_wide(&t->l[j]);)
            j++;
        if (j - i > VIVO_WORD_MAX)
            vivo_letters_cut(t, i, j);
    }
}

static void mark(const struct vivo_known *k, struct vivo_letters *t)
{
    cut_endless(t);
    vivo_known_cut(k, t);
    vivo_clean_names(t);
    vivo_clean_numbers(t);
}

static bool is_space(uint8_t b)
{
    return b == ' ';
}

/* The units of which no letter is cut. Spaces around a cut become one. */
static int put_rest(const struct vivo_letters *t, const uint8_t *v, bool *readable,
                    struct vivo_buf *out)
{
    uint32_t l = 0;
    bool gap = false;
    *readable = false;
    for (uint32_t i = 0; i < t->n_units; i++) {
        const struct vivo_unit *u = &t->u[i];
        bool cut = false, word = false;
        for (; l < t->n && t->l[l].unit == i; l++) {
            cut = cut || t->l[l].cut;
            word = word ||
                   (vivo_letter_in_word(&t->l[l]) && t->l[l].cls != VIVO_LETTER_MARK);
        }
        gap = gap || cut;
        if (cut)
            continue;
        bool space = u->len == 1 && is_space(v[u->at]);
        if (space && gap && (!out->len || is_space(out->data[out->len - 1])))
            continue;
        gap = gap && (space || u->escape);
        *readable = *readable || word;
        int rc = vivo_buf_add(out, v + u->at, u->len);
        if (rc)
            return rc;
    }
    while (out->len && is_space(out->data[out->len - 1]))
        out->len--;
    return 0;
}

/* One look. *cut tells whether out differs from v. */
static int look(const struct vivo_known *k, const char *charset, const char *vr,
                const uint8_t *v, size_t len, bool *cut, struct vivo_buf *out)
{
    struct vivo_letters t;
    bool readable = true;
    int rc = vivo_letters_new(&t, charset, vr, v, len);
    if (rc)
        return rc;
    mark(k, &t);
    *cut = vivo_letters_any_cut(&t);
    vivo_buf_clear(out);
    rc = *cut ? put_rest(&t, v, &readable, out) : vivo_buf_add(out, v, len);
    if (!rc && !readable)
        vivo_buf_clear(out);
    vivo_letters_free(&t);
    return rc;
}

static size_t trimmed(const uint8_t *v, size_t len)
{
    while (len && (v[len - 1] == ' ' || v[len - 1] == 0))
        len--;
    return len;
}

int vivo_clean_text(const struct vivo_known *k, const char *charset, const char *vr,
                    const uint8_t *v, size_t len, struct vivo_buf *out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf a = {0}, b = {0};
    bool cut = true;
    len = trimmed(v, len);
    vivo_buf_init(&a, len + 1);
    vivo_buf_init(&b, len + 1);
    int rc = vivo_buf_add(&a, v, len);
    for (int i = 0; !rc && cut && a.len; i++) {
        if (i == ROUNDS_MAX)
            return 0;
        rc = look(k, charset, vr, a.data, a.len, &cut, &b);
        struct vivo_buf swap = a;
        a = b;
        b = swap;
    }
    if (rc == -EILSEQ)
        return 0;
    return rc ? rc : vivo_buf_add(out, a.data, a.len);
}

bool vivo_clean_suspects(const struct vivo_known *k, const char *charset,
                         const uint8_t *v, size_t len)
{
    struct vivo_letters t;
    if (vivo_letters_new(&t, charset, "LO", v, trimmed(v, len)))
        return true;
    vivo_known_cut(k, &t);
    bool any = vivo_letters_any_cut(&t);
    vivo_letters_free(&t);
    return any;
}
