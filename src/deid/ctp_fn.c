/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/ctp_fn.c -- the functions of CTP that make a text of values.
 *
 * Hashes are HMAC-SHA-256 under the site's key, as decimal digits: CTP's own is MD5
 * without a key, which gives way to whoever can list names or numbers. */
#include "ctp_eval.h"
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 1024
#define INDIRECTIONS_MAX 10

/* Text whose characters may be counted and changed one by one. */
static bool is_ascii(const struct vivo_buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] & 0x80 || b->data[i] == 27)
            return false;
    return true;
}

static void bad(struct vivo_ctp_eval *e)
{
    e->verdict = VIVO_CTP_BAD;
}

/* The value as UTF-8, so that a hash is the same in every character set. */
static bool get_utf8(struct vivo_ctp_eval *e, const struct vivo_ctp_ref *ref,
                     struct vivo_buf *out)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf raw = {0};
    bool any = vivo_ctp_get(e, ref, &raw, NULL);
    vivo_buf_init(out, 16 * raw.len + 64);
    if (!any)
        return false;
    if (is_ascii(&raw) || !e->h)
        e->rc = vivo_buf_add(out, raw.data, raw.len);
    else
        e->rc = vivo_dcm_text(e->charset, "LO", raw.data, raw.len, out);
    return !e->rc && out->len;
}

/* ---- text --------------------------------------------------------------------------
 */

/* $0 to $9 of the replacement are groups. */
static void add_replacement(struct vivo_ctp_eval *e, const char *repl, const char *s,
                            const regmatch_t *m)
{
    for (; *repl; repl++) {
        if (*repl == '$' && isdigit((unsigned char)repl[1])) {
            const regmatch_t *g = &m[*++repl - '0'];
            if (g->rm_so >= 0)
                vivo_ctp_add(e, s + g->rm_so, (size_t)(g->rm_eo - g->rm_so));
            continue;
        }
        if (*repl == '\\' && repl[1])
            repl++;
        vivo_ctp_add(e, repl, 1);
    }
}

static void contents(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    regmatch_t m[10];
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL))
        return;
    const char *s = (const char *)v.data;
    if (!p->regex) {
        vivo_ctp_add(e, s, v.len);
        return;
    }
    for (int flags = 0; *s && !regexec(p->regex, s, VIVO_ARRAY_LEN(m), m, flags);
         flags = REG_NOTBOL) {
        vivo_ctp_add(e, s, (size_t)m[0].rm_so);
        add_replacement(e, p->text, s, m);
        s += m[0].rm_eo;
        if (m[0].rm_eo == m[0].rm_so && *s) /* an empty match: one further */
            vivo_ctp_add(e, s++, 1);
    }
    vivo_ctp_add(e, s, strlen(s));
}

static void value(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (vivo_ctp_get(e, &p->ref[0], &v, NULL))
        vivo_ctp_add(e, (char *)v.data, v.len);
    else
        vivo_ctp_add(e, p->text, strlen(p->text));
}

static void truncate_to(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL))
        return;
    size_t n = VIVO_MIN((size_t)labs(p->number), v.len);
    if (n < v.len && !is_ascii(&v)) {
        bad(e);
        return;
    }
    vivo_ctp_add(e, (char *)v.data + (p->number < 0 ? v.len - n : 0), n);
}

static void change_case(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p,
                        int change(int))
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL))
        return;
    if (!is_ascii(&v)) {
        bad(e);
        return;
    }
    for (size_t i = 0; i < v.len; i++)
        v.data[i] = (uint8_t)change(v.data[i]);
    vivo_ctp_add(e, (char *)v.data, v.len);
}

static char caesar(int c, long by)
{
    if (!isupper(c))
        return (char)c;
    return (char)('A' + ((c - 'A' + by) % 26 + 26) % 26);
}

/* The first letter of each part; that of the family name, which stands first, comes
 * last. */
static void initials(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    char letters[64];
    size_t n = 0;
    bool any = vivo_ctp_get(e, &p->ref[0], &v, NULL);
    if (any && !is_ascii(&v)) {
        bad(e);
        return;
    }
    bool fresh = true;
    for (size_t i = 0; any && i < v.len && v.data[i] != '='; i++) {
        bool letter = isalnum(v.data[i]);
        if (letter && fresh && n < sizeof letters)
            letters[n++] = caesar(toupper(v.data[i]), p->number);
        fresh = v.data[i] == '^' || v.data[i] == ' ' || v.data[i] == ',';
    }
    if (!n) {
        vivo_ctp_add(e, "X", 1);
        return;
    }
    vivo_ctp_add(e, letters + 1, n - 1);
    vivo_ctp_add(e, letters, 1);
}

static void path_element(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL))
        return;
    long count = 1;
    for (size_t i = 0; i < v.len; i++)
        count += v.data[i] == '/';
    long want = p->number < 0 ? count + p->number : p->number;
    const char *s = (const char *)v.data;
    if (want < 0 || want >= count)
        return;
    for (; want; want--)
        s += strcspn(s, "/") + 1;
    vivo_ctp_add(e, s, strcspn(s, "/"));
}

/* Ages: a number and a letter. */
static void round_age(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    char text[32];
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL))
        return;
    size_t n = strspn((char *)v.data, "0123456789");
    if (!n || n > 6 || v.len - n > 1 || p->number < 1) {
        bad(e);
        return;
    }
    long age = strtol((char *)v.data, NULL, 10); /* allow: digits */
    age = (age + p->number / 2) / p->number * p->number;
    snprintf(text, sizeof text, "%03ld%s", age, (char *)v.data + n);
    vivo_ctp_add(e, text, strlen(text));
}

/* ---- hashes -------------------------------------------------------------------------
 */

static void add_hash(struct vivo_ctp_eval *e, const char *domain, const void *data,
                     size_t len, bool cut, long digits)
{
    uint8_t mac[VIVO_DIGEST_LEN];
    char text[48];
    vivo_key_derive(e->key, domain, data, len, mac);
    size_t n = vivo_pseudo_decimal(mac, text);
    if (cut && digits > 0)
        n = VIVO_MIN(n, (size_t)digits);
    vivo_ctp_add(e, text, n);
}

static void hash(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (get_utf8(e, &p->ref[0], &v))
        add_hash(e, "ctp:hash", v.data, v.len, p->has_number, p->number);
    else
        e->verdict = VIVO_CTP_GONE;
}

static void hash_patient(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0}, text = {0};
    vivo_buf_init(&text, KEY_MAX + 4 * (size_t)VIVO_CTP_TEXT_MAX + (1u << 20));
    if (!get_utf8(e, &p->ref[0], &v)) {
        e->verdict = VIVO_CTP_GONE;
        return;
    }
    e->rc = vivo_buf_printf(&text, "[%s]%s", p->text2, (char *)v.data);
    if (!e->rc)
        add_hash(e, "ctp:hash", text.data, text.len, p->has_number, p->number);
}

static void hash_name(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (!get_utf8(e, &p->ref[0], &v)) {
        e->verdict = VIVO_CTP_GONE;
        return;
    }
    long words = p->number2 > 0 ? p->number2 : 100;
    size_t n = 0;
    for (size_t i = 0; i < v.len && words; i++) {
        if (v.data[i] == '^')
            words--;
        else if (!strchr(" ,'.", v.data[i]))
            v.data[n++] = (uint8_t)toupper(v.data[i]);
    }
    add_hash(e, "ctp:hash", v.data, n, true, p->has_number ? p->number : 4);
}

/* The house's own UIDs, so that references from everywhere hold; the root of the
 * script is not used. */
static void hash_uid(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0}, more = {0};
    char uid[VIVO_UID_MAX + 1];
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL)) {
        e->verdict = VIVO_CTP_GONE;
        return;
    }
    if (p->nrefs == 2 && vivo_ctp_get(e, &p->ref[1], &more, NULL)) {
        e->rc = vivo_buf_puts(&v, "\n");
        if (!e->rc)
            e->rc = vivo_buf_add(&v, more.data, more.len);
    }
    vivo_pseudo_uid(e->key, v.data, v.len, uid);
    vivo_ctp_add(e, uid, strlen(uid));
}

/* ---- dates --------------------------------------------------------------------------
 */

static const char *vr_of(const struct vivo_ctp_eval *e, const struct vivo_ctp_ref *ref)
{
    const struct vivo_dict *dict =
        vivo_dcm_dict(ref->self ? e->row->tag : vivo_ctp_ref_last(ref));
    return dict ? dict->vr : "UN";
}

static void shift(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p, int64_t days)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    const char *vr = vr_of(e, &p->ref[0]);
    if (memcmp(vr, "DA", 2) && memcmp(vr, "DT", 2)) {
        bad(e);
        return;
    }
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL)) {
        e->verdict = VIVO_CTP_GONE;
        return;
    }
    e->rc = vivo_date_shift(vr, v.data, v.len, days, e->out);
}

/* By the patient's own offset where it hangs on the PatientID, so that it is that of
 * retain-modified-dates. */
static void hash_date(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf by = {0};
    if (vivo_ctp_ref_last(&p->ref[1]) == VIVO_TAG_PatientID && e->patient[0])
        shift(e, p, vivo_date_offset(e->key, e->patient));
    else if (get_utf8(e, &p->ref[1], &by))
        shift(e, p, vivo_date_offset(e->key, (char *)by.data));
    else
        e->verdict = VIVO_CTP_GONE;
}

/* KEYTYPE/value, then up to ten times what "@KEY" in the table points at. */
static const char *look_up(struct vivo_ctp_eval *e, const char *type,
                           const struct vivo_ctp_ref *refs, size_t n, bool upper)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf key = {0};
    vivo_buf_init(&key, KEY_MAX + (1u << 20));
    e->rc = vivo_buf_printf(&key, "%s/", type);
    for (size_t i = 0; i < n && !e->rc; i++) {
        VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
        if (i)
            e->rc = vivo_buf_puts(&key, "|");
        if (get_utf8(e, &refs[i], &v))
            e->rc = vivo_buf_add(&key, v.data, v.len);
    }
    if (e->rc)
        return NULL;
    for (size_t i = strlen(type); upper && i < key.len; i++)
        key.data[i] = (uint8_t)toupper(key.data[i]);
    const char *hit = vivo_ctp_lookup(e->c, (char *)key.data);
    for (int i = 0; hit && hit[0] == '@' && i < INDIRECTIONS_MAX; i++)
        hit = vivo_ctp_lookup(e->c, hit + 1);
    vivo_wipe(key.data, key.len);
    return hit;
}

static void missed(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    switch (p->miss) {
    case VIVO_CTP_MISS_KEEP:
        e->verdict = VIVO_CTP_LEFT;
        return;
    case VIVO_CTP_MISS_REMOVE:
        e->verdict = VIVO_CTP_GONE;
        return;
    case VIVO_CTP_MISS_EMPTY:
        return;
    case VIVO_CTP_MISS_DEFAULT:
        vivo_ctp_add(e, p->text, strlen(p->text));
        return;
    case VIVO_CTP_MISS_IGNORE:
        if (vivo_ctp_get(e, &p->ref[0], &v, NULL) &&
            !regexec(p->regex, (char *)v.data, 0, NULL, 0)) {
            vivo_ctp_add(e, (char *)v.data, v.len);
            return;
        }
        break;
    case VIVO_CTP_MISS_QUARANTINE:
        break;
    }
    e->verdict = VIVO_CTP_STOPPED;
}

static void lookup(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    const char *hit = look_up(e, p->text2, p->ref, p->nrefs, p->upper);
    if (hit)
        vivo_ctp_add(e, hit, strlen(hit));
    else if (!e->rc)
        missed(e, p);
}

static void increment_date(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    long days = p->number;
    if (p->nrefs == 2) {
        const char *hit = look_up(e, p->text2, &p->ref[1], 1, false);
        char *end = NULL;
        days = hit ? strtol(hit, &end, 10) : 0; /* allow: checked */
        if (!hit || end == hit || *end || labs(days) > 400000) {
            e->verdict = VIVO_CTP_STOPPED;
            return;
        }
    }
    shift(e, p, days);
}

static void modify_date(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    static const struct {
        uint8_t at, len;
    } place[] = {{0, 4}, {4, 2}, {6, 2}};
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    if (!vivo_ctp_get(e, &p->ref[0], &v, NULL)) {
        e->verdict = VIVO_CTP_GONE;
        return;
    }
    if (v.len < 8 || strspn((char *)v.data, "0123456789") < 8)
        return; /* empty */
    for (size_t i = 0; i < VIVO_ARRAY_LEN(place); i++) {
        char text[300];
        if (p->field[i] < 0)
            continue;
        snprintf(text, sizeof text, "%0*d", (int)place[i].len, p->field[i] % 10000);
        memcpy(v.data + place[i].at, text, place[i].len);
    }
    vivo_ctp_add(e, (char *)v.data, v.len);
}

/* Days since a base date of the table, written M/d/yyyy. */
static void date_interval(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf v = {0};
    struct vivo_ctp_ref key = p->ref[1];
    int month = 0, day = 0, year = 0, used = 0;
    char text[32];
    key.root = !key.self;
    const char *base = look_up(e, p->text2, &key, 1, false);
    bool any = vivo_ctp_get(e, &p->ref[0], &v, NULL) && v.len >= 8 &&
               strspn((char *)v.data, "0123456789") >= 8;
    if (!base || !any ||
        sscanf(base, "%2d/%2d/%4d%n", &month, &day, &year, &used) != 3 || base[used] ||
        month < 1 || month > 12 || day < 1 || day > 31) {
        e->verdict = VIVO_CTP_STOPPED;
        return;
    }
    long date = 0;
    for (size_t i = 0; i < 8; i++)
        date = date * 10 + (v.data[i] - '0');
    int64_t days = vivo_date_days(date / 10000, date / 100 % 100, date % 100) -
                   vivo_date_days(year, month, day) + p->number;
    snprintf(text, sizeof text, "%" PRId64, days);
    vivo_ctp_add(e, text, strlen(text));
}

void vivo_ctp_call(struct vivo_ctp_eval *e, const struct vivo_ctp_part *p)
{
    typedef void call_fn(struct vivo_ctp_eval *, const struct vivo_ctp_part *);
    static const struct {
        enum vivo_ctp_fn fn;
        call_fn *call;
    } calls[] = {
        {VIVO_CTP_CONTENTS, contents},
        {VIVO_CTP_VALUE, value},
        {VIVO_CTP_TRUNCATE, truncate_to},
        {VIVO_CTP_INITIALS, initials},
        {VIVO_CTP_HASH, hash},
        {VIVO_CTP_HASHNAME, hash_name},
        {VIVO_CTP_HASHPTID, hash_patient},
        {VIVO_CTP_HASHUID, hash_uid},
        {VIVO_CTP_HASHDATE, hash_date},
        {VIVO_CTP_INCREMENTDATE, increment_date},
        {VIVO_CTP_MODIFYDATE, modify_date},
        {VIVO_CTP_DATEINTERVAL, date_interval},
        {VIVO_CTP_ROUND, round_age},
        {VIVO_CTP_LOOKUP, lookup},
        {VIVO_CTP_PATHELEMENT, path_element},
    };
    if (p->fn == VIVO_CTP_UPPERCASE || p->fn == VIVO_CTP_LOWERCASE) {
        change_case(e, p, p->fn == VIVO_CTP_UPPERCASE ? toupper : tolower);
        return;
    }
    for (size_t i = 0; i < VIVO_ARRAY_LEN(calls); i++)
        if (calls[i].fn == p->fn) {
            calls[i].call(e, p);
            return;
        }
    bad(e);
}
