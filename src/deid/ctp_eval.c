/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_eval.c -- a script's parts over one captured header, and what is
 * written of it.
 *
 * Functions read the original values, always. Where a value cannot be made, the
 * attribute goes: CTP would leave the original. */
#include "ctp_eval.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 65536

void vivo_ctp_add(struct vivo_ctp_eval *e, const char *s, size_t len)
{
    if (!e->rc && len)
        e->rc = vivo_buf_add(e->out, s, len);
}

/* ---- values of the object
 * ------------------------------------------------------------ */

static const struct vivo_node *find_node(const struct vivo_header *h, uint32_t first,
                                         uint32_t end, uint32_t tag)
{
    for (uint32_t i = first; i < end; i = h->nodes[i].end)
        if (h->nodes[i].tag == tag)
            return &h->nodes[i];
    return NULL;
}

static const struct vivo_node *find_ref(const struct vivo_ctp_eval *e,
                                        const struct vivo_ctp_ref *ref)
{
    const struct vivo_header *h = e->h;
    const struct vivo_node *node = NULL;
    uint32_t first = ref->root ? 0 : e->first, end = ref->root ? h->n : e->end;
    if (ref->self)
        return e->node;
    for (size_t i = 0; i < ref->n; i++) {
        node = find_node(h, first, end, ref->path[i]);
        if (!node || i + 1 == ref->n)
            return node;
        uint32_t item = (uint32_t)(node - h->nodes) + 1;
        if (node->kind != VIVO_NODE_SEQUENCE || item >= node->end)
            return NULL;
        first = item + 1;
        end = h->nodes[item].end;
    }
    return node;
}

static uint64_t integer(const uint8_t *v, size_t n, bool big)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x = x << 8 | v[big ? i : n - 1 - i];
    return x;
}

static bool print_number(const struct vivo_ctp_eval *e, const struct vivo_node *node,
                         const uint8_t *v, struct vivo_buf *out)
{
    bool big = e->h->syntax.big_endian != node->swapped;
    size_t n = (size_t)node->length;
    if (!memcmp(node->vr, "US", 2) && n >= 2)
        return !vivo_buf_printf(out, "%" PRIu64, integer(v, 2, big));
    if (!memcmp(node->vr, "UL", 2) && n >= 4)
        return !vivo_buf_printf(out, "%" PRIu64, integer(v, 4, big));
    if (!memcmp(node->vr, "SS", 2) && n >= 2)
        return !vivo_buf_printf(out, "%d", (int)(int16_t)integer(v, 2, big));
    if (!memcmp(node->vr, "SL", 2) && n >= 4)
        return !vivo_buf_printf(out, "%d", (int)(int32_t)integer(v, 4, big));
    return false;
}

static bool copy_text(const uint8_t *v, size_t n, struct vivo_buf *out)
{
    while (n && (v[n - 1] == ' ' || v[n - 1] == '\0'))
        n--;
    while (n && *v == ' ')
        v++, n--;
    return n && !vivo_buf_add(out, v, n);
}

/* What is no value of its VR the profile would not show, nor an age above 89. */
static bool is_honest(const struct vivo_ctp_eval *e, const struct vivo_node *node,
                      struct vivo_buf *v)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf capped = {0};
    if (e->c->alone)
        return true;
    if (!vivo_deid_valid(node->vr, v->data, v->len))
        return false;
    if (memcmp(node->vr, "AS", 2))
        return true;
    vivo_buf_init(&capped, VALUE_MAX);
    if (vivo_deid_cap_age(v->data, v->len, &capped))
        return false;
    vivo_buf_clear(v);
    return !vivo_buf_add(v, capped.data, capped.len);
}

bool vivo_ctp_get(struct vivo_ctp_eval *e, const struct vivo_ctp_ref *ref,
                  struct vivo_buf *out, bool *present)
{
    bool ignored;
    if (!present)
        present = &ignored;
    vivo_buf_init(out, VALUE_MAX);
    if (!e->h) {
        bool self = ref->self || (ref->n == 1 && ref->path[0] == e->row->tag);
        *present = self && e->alone[0];
        return *present && !vivo_buf_puts(out, e->alone);
    }
    const struct vivo_node *node = find_ref(e, ref);
    *present = node != NULL;
    if (!node || node->kind != VIVO_NODE_ELEMENT || !node->length)
        return false;
    const uint8_t *v = e->h->values.data + node->at;
    if (!vivo_deid_vr_is_text(node->vr))
        return print_number(e, node, v, out);
    return copy_text(v, (size_t)node->length, out) && is_honest(e, node, out);
}

/* ---- parts
 * --------------------------------------------------------------------------- */

static void require(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (e->node) {
        e->verdict = VIVO_CTP_LEFT;
        return;
    }
    if (p->nrefs && vivo_ctp_get(e, &p->ref[0], &v, NULL))
        vivo_ctp_add(e, (char *)v.data, v.len);
    else
        vivo_ctp_add(e, p->text, strlen(p->text));
}

/* A multi-valued attribute gets one value more. */
static void append(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    static const struct vivo_ctp_ref self = {.self = true};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (vivo_ctp_get(e, &self, &v, NULL)) {
        vivo_ctp_add(e, (char *)v.data, v.len);
        vivo_ctp_add(e, "\\", 1);
    }
    vivo_ctp_run(e, p->yes);
}

/* Digits only, without leading zeros. */
static bool is_greater(const char *s, long limit)
{
    uint64_t n = 0;
    bool any = false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            continue;
        any = true;
        if (n < UINT64_MAX / 16)
            n = n * 10 + (uint64_t)(*s - '0');
    }
    return any && n > (uint64_t)limit;
}

static bool holds(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    bool present = false;
    bool any = vivo_ctp_get(e, &p->ref[0], &v, &present);
    const char *text = any ? (const char *)v.data : "";
    switch (p->cond) {
    case VIVO_CTP_ISBLANK:
        return !any;
    case VIVO_CTP_EXISTS:
        return present;
    case VIVO_CTP_HAS:
        return strcasestr(text, p->text) != NULL;
    case VIVO_CTP_EQUALS:
        return !strcasecmp(text, p->text);
    case VIVO_CTP_MATCHES:
        return !regexec(p->regex, text, 0, NULL, 0);
    case VIVO_CTP_GREATER:
        return is_greater(text, p->number);
    }
    return false;
}

static void run_part(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    switch ((int)p->fn) {
    case VIVO_CTP_TEXT:
    case VIVO_CTP_PARAM:
        vivo_ctp_add(e, p->text, strlen(p->text));
        return;
    case VIVO_CTP_ALWAYS:
    case VIVO_CTP_EMPTY:
        return;
    case VIVO_CTP_KEEP:
    case VIVO_CTP_PROCESS:
        if (e->verdict == VIVO_CTP_SET)
            e->verdict = VIVO_CTP_LEFT;
        return;
    case VIVO_CTP_REMOVE:
        e->verdict = VIVO_CTP_GONE;
        return;
    case VIVO_CTP_BLANK:
        for (long i = 0; i < p->number && i < 55; i++)
            vivo_ctp_add(e, " ", 1);
        return;
    case VIVO_CTP_QUARANTINE:
    case VIVO_CTP_SKIP: /* passed on as it is by CTP; never here */
        e->verdict = VIVO_CTP_STOPPED;
        return;
    case VIVO_CTP_REQUIRE:
        require(e, p);
        return;
    case VIVO_CTP_IF:
        vivo_ctp_run(e, holds(e, p) ? p->yes : p->no);
        return;
    case VIVO_CTP_SELECT:
        vivo_ctp_run(e, e->depth ? p->no : p->yes);
        return;
    case VIVO_CTP_APPEND:
        append(e, p);
        return;
    default:
        vivo_ctp_call(e, p);
    }
}

void vivo_ctp_run(struct vivo_ctp_eval *e, const struct vivo_ctp_script *s)
{
    for (size_t i = 0; s && i < s->n && !e->rc && e->verdict <= VIVO_CTP_LEFT; i++)
        run_part(e, &s->parts[i]);
}

/* ---- into the object
 * ------------------------------------------------------------------ */

static int no_memory(struct vivo_err *err)
{
    return vivo_fail(err, ENOMEM, "no memory for a header");
}

/* What a script made must be a value of the VR, as all that is kept. */
static int put_set(struct vivo_rewrite *r, uint32_t tag, const char *vr,
                   struct vivo_buf *v, bool *valid, struct vivo_err *err)
{
    *valid = vivo_deid_valid(vr, v->data ? v->data : (const uint8_t *)"", v->len);
    if (!*valid)
        return 0;
    if (!v->len)
        return vivo_deid_put_empty(r->w, tag, vr, err);
    if (!memcmp(vr, "AS", 2)) {
        vivo_buf_clear(&r->scratch);
        if (vivo_deid_cap_age(v->data, v->len, &r->scratch))
            return no_memory(err);
        v = &r->scratch;
    }
    return vivo_dcm_write(r->w, tag, vr, v->data, v->len, err);
}

static void init_eval(struct vivo_ctp_eval *e, const struct vivo_rewrite *r,
                      const struct vivo_ctp_row *row, struct vivo_buf *out)
{
    memset(e, 0, sizeof *e);
    e->c = r->d->ctp;
    e->key = r->d->key;
    e->h = r->h;
    e->row = row;
    e->patient = r->no_offset ? "" : r->patient;
    e->charset = r->h->utf8 ? "ISO_IR 192" : r->charset ? r->charset : "";
    e->out = out;
    e->end = r->h->n;
}

static int stopped(const struct vivo_rewrite *r, struct vivo_err *err)
{
    if (!r->method) /* attributes of what is refused: without this one */
        return 0;
    return vivo_fail(err, EPERM, "refused: the script quarantines it");
}

static bool goes_anyway(const struct vivo_node *node)
{
    return node->act == VIVO_ACT_X || node->act == VIVO_ACT_AWAY;
}

static int put_verdict(struct vivo_rewrite *r, const struct vivo_node *node,
                       const struct vivo_ctp_eval *e, bool *done, struct vivo_err *err)
{
    bool kept = node->act == VIVO_ACT_K || node->act == VIVO_ACT_KEEP;
    bool valid = false;
    int rc = 0;
    *done = true;
    if (e->rc)
        return no_memory(err);
    switch (e->verdict) {
    case VIVO_CTP_STOPPED:
        return stopped(r, err);
    case VIVO_CTP_GONE:
        return 0;
    case VIVO_CTP_LEFT:
        *done = false;
        return 0;
    case VIVO_CTP_SET:
        if (node->kind != VIVO_NODE_ELEMENT && e->out->len)
            break;
        if (!e->out->len && goes_anyway(node))
            return 0;
        rc = put_set(r, node->tag, node->vr, e->out, &valid, err);
        if (rc || valid)
            return rc;
        break;
    case VIVO_CTP_BAD:
        break;
    }
    *done = kept;
    return 0;
}

int vivo_ctp_put(struct vivo_rewrite *r, const struct vivo_node *node, uint32_t first,
                 uint32_t end, bool *done, struct vivo_err *err)
{
    const struct vivo_ctp_row *row = vivo_ctp_find(r->d->ctp, node->tag);
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf out = {0};
    struct vivo_ctp_eval e;
    /* Without a row it is one of those that the script removes in passing. */
    *done = !row;
    if (!row)
        return 0;
    if (r->partial && row->partial) {
        *done = true;
        return 0;
    }
    vivo_buf_init(&out, VALUE_MAX);
    init_eval(&e, r, row, &out);
    e.node = node;
    e.first = first;
    e.end = end;
    e.depth = node->depth;
    vivo_ctp_run(&e, row->script);
    return put_verdict(r, node, &e, done, err);
}

static int put_missing(struct vivo_rewrite *r, const struct vivo_ctp_row *row,
                       struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf out = {0};
    const struct vivo_dict *dict = vivo_dcm_dict(row->tag);
    struct vivo_ctp_eval e;
    bool valid;
    if (!dict || find_node(r->h, 0, r->h->n, row->tag))
        return 0;
    vivo_buf_init(&out, VALUE_MAX);
    init_eval(&e, r, row, &out);
    vivo_ctp_run(&e, row->script);
    if (e.rc)
        return no_memory(err);
    if (e.verdict == VIVO_CTP_STOPPED)
        return stopped(r, err);
    if (e.verdict != VIVO_CTP_SET)
        return 0;
    return put_set(r, row->tag, dict->vr, &out, &valid, err);
}

static bool is_ours(uint32_t tag)
{
    for (size_t i = 0; i < VIVO_METHOD_COUNT; i++)
        if (vivo_method_tags[i] == tag)
            return true;
    return tag >> 16 < 0x0008 || tag >> 16 & 1;
}

int vivo_ctp_put_missing(struct vivo_rewrite *r, uint32_t *from, uint32_t until,
                         struct vivo_err *err)
{
    const struct vivo_ctp *c = r->d->ctp;
    uint32_t start = *from;
    if (!c || until <= start)
        return 0;
    *from = until;
    for (size_t i = 0; i < c->nrows && !c->rows[i].creator; i++) {
        const struct vivo_ctp_row *row = &c->rows[i];
        if (row->tag < start || row->tag >= until || !row->always || row->leaks ||
            row->kind != VIVO_CTP_ROW_EVAL || is_ours(row->tag))
            continue;
        int rc = put_missing(r, row, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- the patient
 * ----------------------------------------------------------------------- */

/* A table knows identifiers; hashes also know who issued them, so that equal numbers of
 * two issuers stay two patients. */
static int whose(const struct vivo_ctp_row *row, const char *issuer, const char *id,
                 struct vivo_buf *out)
{
    vivo_buf_init(out, VALUE_MAX);
    if (!issuer[0] || row->script->parts[0].fn == VIVO_CTP_LOOKUP)
        return vivo_buf_puts(out, id);
    return vivo_buf_printf(out, "%zu:%s%s", strlen(issuer), issuer, id);
}

int vivo_ctp_patient(const struct vivo_deid *d, const char *issuer, const char *id,
                     char out[65])
{
    const struct vivo_ctp_row *row =
        d->ctp ? vivo_ctp_find(d->ctp, VIVO_TAG_PatientID) : NULL;
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0}, original = {0};
    if (!row || row->leaks || !id[0] || whose(row, issuer, id, &original))
        return 0;
    vivo_buf_init(&text, VALUE_MAX);
    struct vivo_ctp_eval e = {.c = d->ctp,
                              .key = d->key,
                              .row = row,
                              .alone = (const char *)original.data,
                              .patient = "",
                              .charset = "ISO_IR 192",
                              .out = &text};
    vivo_ctp_run(&e, row->script);
    if (!e.rc && e.verdict == VIVO_CTP_STOPPED)
        return -EPERM;
    if (e.rc || e.verdict != VIVO_CTP_SET || !text.len || text.len > 64 ||
        memchr(text.data, '\\', text.len) ||
        !vivo_deid_valid("LO", text.data, text.len))
        return 0;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return 1;
}
