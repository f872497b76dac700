/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/idc_search.c -- conditions that the index of IDC can answer, as SQL.
 *
 * The filters of the API's cohorts mind case, which DICOM's matching here does not, so
 * the same columns are compared without it. Only what a series has one value of is
 * asked: the index keeps a single one of the rest. */
#include "idc.h"

#include <stdio.h>
#include <string.h>

#define VALUES_MAX 1000

static const struct {
    uint32_t tag;
    const char *column;
    bool date;
} known[] = {
    {VIVO_TAG_StudyDate, "StudyDate", true},
    {VIVO_TAG_Modality, "Modality", false},
    {VIVO_TAG_Manufacturer, "Manufacturer", false},
    {VIVO_TAG_ManufacturerModelName, "ManufacturerModelName", false},
    {VIVO_TAG_PatientID, "PatientID", false},
    {VIVO_TAG_PatientSex, "PatientSex", false},
    {VIVO_TAG_StudyInstanceUID, "StudyInstanceUID", false},
    {VIVO_TAG_SeriesInstanceUID, "SeriesInstanceUID", false},
};

const uint32_t vivo_idc_searches[] = {
    VIVO_TAG_StudyDate,
    VIVO_TAG_Modality,
    VIVO_TAG_Manufacturer,
    VIVO_TAG_ManufacturerModelName,
    VIVO_TAG_PatientID,
    VIVO_TAG_PatientSex,
    VIVO_TAG_StudyInstanceUID,
    VIVO_TAG_SeriesInstanceUID,
    0,
};

const char *vivo_idc_term(uint32_t tag)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(known); i++)
        if (known[i].tag == tag)
            return known[i].date ? NULL : known[i].column;
    return NULL;
}

/* ASCII without control characters: there all agree what lower case is. */
static bool may_ask(const char *value)
{
    size_t n = strlen(value);
    for (size_t i = 0; i < n; i++)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    return n > 0 && n <= 256;
}

static bool is_date(const char *s)
{
    return strlen(s) == 8 && strspn(s, "0123456789") == 8;
}

/* A pattern for LIKE, or a text; quotes doubled. */
static int put_text(const char *value, bool like, struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "'");
    for (const char *p = value; *p && rc == 0; p++) {
        char c = *p;
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        const char one[] = {c, '\0'};
        if (c == '\'')
            rc = vivo_buf_puts(out, "''");
        else if (like && (c == '*' || c == '?'))
            rc = vivo_buf_puts(out, c == '*' ? "%" : "_");
        else if (like && (c == '%' || c == '_' || c == '!'))
            rc = vivo_buf_printf(out, "!%c", c);
        else
            rc = vivo_buf_puts(out, one);
    }
    return rc ? rc : vivo_buf_puts(out, "'");
}

static int put_date(const char *column, const char *op, const char *d,
                    struct vivo_buf *out)
{
    return vivo_buf_printf(out, "CAST(%s AS VARCHAR) %s '%.4s-%.2s-%.2s'", column, op,
                           d, d + 4, d + 6);
}

static bool may_ask_all(const struct vivo_match *m, bool date)
{
    if (m->n == 0 || m->n > VALUES_MAX || (m->kind == VIVO_MATCH_RANGE && !date))
        return false;
    bool open_ends = m->kind == VIVO_MATCH_RANGE;
    for (size_t i = 0; i < m->n; i++) {
        if (!m->values[i] && open_ends)
            continue;
        if (!m->values[i] || !may_ask(m->values[i]) || (date && !is_date(m->values[i])))
            return false;
    }
    return m->kind == VIVO_MATCH_ANY_OF ||
           (m->n == 2 && (m->values[0] || m->values[1]));
}

static int put_any(const struct vivo_match *m, const char *column, bool date,
                   struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "(");
    for (size_t i = 0; i < m->n && rc == 0; i++) {
        bool like = m->wild && strpbrk(m->values[i], "*?");
        if (i)
            rc = vivo_buf_puts(out, " OR ");
        if (rc == 0 && date) {
            rc = put_date(column, "=", m->values[i], out);
            continue;
        }
        if (rc == 0)
            rc = vivo_buf_printf(out, "lower(trim(%s)) %s ", column,
                                 like ? "LIKE" : "=");
        if (rc == 0)
            rc = put_text(m->values[i], like, out);
        if (rc == 0 && like)
            rc = vivo_buf_puts(out, " ESCAPE '!'");
    }
    return rc ? rc : vivo_buf_puts(out, ")");
}

static int put_range(const struct vivo_match *m, const char *column,
                     struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "(");
    if (rc == 0 && m->values[0])
        rc = put_date(column, ">=", m->values[0], out);
    if (rc == 0 && m->values[0] && m->values[1])
        rc = vivo_buf_puts(out, " AND ");
    if (rc == 0 && m->values[1])
        rc = put_date(column, "<=", m->values[1], out);
    return rc ? rc : vivo_buf_puts(out, ")");
}

static int put_match(const struct vivo_match *m, uint64_t bit, uint64_t *answered,
                     struct vivo_buf *out)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(known); i++) {
        if (known[i].tag != m->tag || !may_ask_all(m, known[i].date))
            continue;
        int rc = *answered ? vivo_buf_puts(out, " AND ") : 0;
        *answered |= bit;
        if (rc)
            return rc;
        return m->kind == VIVO_MATCH_RANGE
                   ? put_range(m, known[i].column, out)
                   : put_any(m, known[i].column, known[i].date, out);
    }
    return 0;
}

int vivo_idc_where(const struct vivo_match *matches, size_t n, uint64_t *answered,
                   struct vivo_buf *out)
{
    int rc = 0;
    *answered = 0;
    for (size_t i = 0; i < n && i < 64 && rc == 0; i++)
        rc = put_match(&matches[i], UINT64_C(1) << i, answered, out);
    return rc;
}
