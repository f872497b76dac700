/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/nda_images.c -- image03: the table of NDA in which each row is an image,
 * with its subject, visit and file.
 *
 * A file is joined with a row by where it lies in the archive, or by the path that the
 * row tells. Two rows that give one file to two subjects give it to nobody: a wrong
 * subject puts two people into one directory. */
#include "nda.h"

#include "manifest_text.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#define ROWS_MAX (8u << 20)
#define ARENA_BYTES (512u << 20)
#define HEAD_LINES 2 /* a line "image","03" may stand before the names */

enum column { SUBJECT, FILE_URL, DATE, VISIT, MODALITY, SCAN, ABOUT, COLUMNS };
static const char *const names[COLUMNS] = {"subjectkey",
                                           "image_file",
                                           "interview_date",
                                           "visit",
                                           "image_modality",
                                           "scan_type",
                                           /* else */ "image_description"};

struct image {
    const char *cell[COLUMNS];
};

struct images {
    struct vivo_arena *arena;
    struct image *rows; /* by file, then subject */
    size_t n, cap;
    int where[COLUMNS]; /* column of each; -1 = there is none */
};

/* ---- the text ----------------------------------------------------------------- */

static bool read_head(struct images *x, const struct manifest_text *t)
{
    for (int c = 0; c < COLUMNS; c++) {
        x->where[c] = -1;
        for (size_t i = 0; i < t->nfields; i++)
            if (strcasecmp(t->fields[i], names[c]) == 0)
                x->where[c] = (int)i;
    }
    return x->where[SUBJECT] >= 0 && x->where[FILE_URL] >= 0;
}

static int keep_row(struct images *x, const struct manifest_text *t,
                    struct vivo_err *err)
{
    struct image row;
    struct image *rows =
        vivo_array_grow(x->rows, x->n, &x->cap, sizeof *rows, ROWS_MAX);
    if (!rows)
        return vivo_fail(err, x->n >= ROWS_MAX ? EIO : ENOMEM, "too many images");
    x->rows = rows;
    for (int c = 0; c < COLUMNS; c++) {
        int at = x->where[c];
        const char *s = at >= 0 && (size_t)at < t->nfields ? t->fields[at] : "";
        size_t max = c == FILE_URL ? 4096 : NDA_TEXT_MAX;
        row.cell[c] = vivo_arena_strndup(x->arena, s, VIVO_MIN(strlen(s), max));
        if (!row.cell[c])
            return vivo_fail(err, EIO, "too many images");
    }
    if (*row.cell[SUBJECT] && *row.cell[FILE_URL])
        x->rows[x->n++] = row;
    return 0;
}

static int by_file(const void *a, const void *b)
{
    const struct image *x = a;
    const struct image *y = b;
    int c = strcmp(x->cell[FILE_URL], y->cell[FILE_URL]);
    return c ? c : strcmp(x->cell[SUBJECT], y->cell[SUBJECT]);
}

static int read_rows(struct images *x, struct manifest_text *t, struct vivo_err *err)
{
    bool head = false;
    int rc;
    for (size_t line = 0; (rc = vivo_manifest_record(t, err)) > 0; line++) {
        if (head)
            rc = keep_row(x, t, err);
        else if (read_head(x, t))
            head = true;
        else if (line >= HEAD_LINES)
            break;
        if (rc < 0)
            return rc;
    }
    if (rc >= 0 && !head)
        return vivo_fail(err, EBADMSG, "a table without subjectkey and image_file");
    if (rc == 0 && x->n > 1)
        qsort(x->rows, x->n, sizeof *x->rows, by_file);
    return rc;
}

/* ---- joining ------------------------------------------------------------------ */

/* The row of this file; NULL = none, or several that disagree. */
static const struct image *find(const struct images *x, const char *file)
{
    size_t low = 0;
    size_t high = x->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(x->rows[mid].cell[FILE_URL], file) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    const struct image *first = low < x->n ? &x->rows[low] : NULL;
    if (!first || strcmp(first->cell[FILE_URL], file) != 0)
        return NULL;
    for (size_t i = low; i < x->n; i++) {
        const struct image *row = &x->rows[i];
        if (strcmp(row->cell[FILE_URL], file) != 0)
            break;
        if (strcmp(row->cell[SUBJECT], first->cell[SUBJECT]) != 0)
            return NULL;
    }
    return first;
}

/* By its address, else by its path or the end of that: "c.zip" of "a/b/c.zip" only
 * where a row tells no more. */
static const struct image *find_file(const struct images *x, const struct nda_file *f)
{
    const struct image *row = *f->s3 ? find(x, f->s3) : NULL;
    for (const char *s = f->alias; !row && *s;) {
        row = find(x, s);
        s += strcspn(s, "/");
        s += *s == '/';
    }
    return row;
}

/* "mm/dd/yyyy" → YYYYMMDD. */
static const char *date_of(const char *s, char out[9])
{
    static const char form[] = "dd/dd/dddd";
    size_t i = 0;
    while (form[i] && (form[i] == 'd' ? isdigit((unsigned char)s[i]) : s[i] == '/'))
        i++;
    if (form[i] || s[i])
        return "";
    snprintf(out, 9, "%.4s%.2s%.2s", s + 6, s, s + 3);
    return out;
}

static const char *modality_of(const char *s)
{
    static const struct {
        const char *told, *modality;
    } known[] = {{"MRI", "MR"}, {"MR", "MR"}, {"CT", "CT"},
                 {"PET", "PT"}, {"PT", "PT"}, {"SPECT", "NM"}};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(known); i++)
        if (strcasecmp(s, known[i].told) == 0)
            return known[i].modality;
    return "";
}

static int tell(struct nda_table *t, struct nda_file *f, const struct image *row,
                struct vivo_err *err)
{
    char date[9];
    const char *about = *row->cell[SCAN] ? row->cell[SCAN] : row->cell[ABOUT];
    const char *day = date_of(row->cell[DATE], date);
    if (*f->subject && strcmp(f->subject, row->cell[SUBJECT]) != 0) {
        f->subject = ""; /* two structures disagree */
        return 0;
    }
    f->subject =
        vivo_arena_strndup(t->arena, row->cell[SUBJECT], strlen(row->cell[SUBJECT]));
    f->visit = vivo_arena_strndup(t->arena, row->cell[VISIT], strlen(row->cell[VISIT]));
    f->date = vivo_arena_strndup(t->arena, day, strlen(day));
    f->text = vivo_arena_strndup(t->arena, about, strlen(about));
    f->modality = modality_of(row->cell[MODALITY]);
    if (!f->subject || !f->visit || !f->date || !f->text)
        return vivo_fail(err, EIO, "too many names in one package");
    return 0;
}

int vivo_nda_images(struct nda_table *t, char *text, size_t len, struct vivo_err *err)
{
    struct manifest_text lines = {.separator = ','};
    struct images x = {.arena = vivo_arena_new(ARENA_BYTES)};
    int rc = 0;
    size_t line = 0;
    while (line < len && text[line] != '\n')
        line++;
    if (memchr(text, '\t', line))
        lines.separator = '\t';
    vivo_buf_init(&lines.record, MANIFEST_RECORD_MAX);
    lines.file = fmemopen(text, len, "r");
    if (!x.arena || !lines.file)
        rc = vivo_fail(err, ENOMEM, "nda: out of memory");
    if (rc == 0)
        rc = read_rows(&x, &lines, err);
    for (size_t i = 0; rc == 0 && i < t->n; i++) {
        const struct image *row = find_file(&x, &t->files[i]);
        if (row)
            rc = tell(t, &t->files[i], row, err);
    }
    vivo_manifest_text_close(&lines);
    free(x.rows);
    vivo_arena_free(x.arena);
    return rc;
}

/* ---- GUIDs -------------------------------------------------------------------- */

/* Bytes of a GUID that begins here: NDAR_INV and 8 letters or digits, or NDAR and 8. */
static size_t guid_len(const char *s)
{
    size_t head = strncmp(s, "NDAR_INV", 8) == 0 ? 8 : strncmp(s, "NDAR", 4) ? 0 : 4;
    size_t n = 0;
    while (head && isalnum((unsigned char)s[head + n]))
        n++;
    return head && n == 8 ? head + n : 0;
}

bool vivo_nda_guid(const char *alias, char out[NDA_TEXT_MAX + 1])
{
    out[0] = '\0';
    for (const char *s = alias; *s; s++) {
        size_t n = s == alias || !isalnum((unsigned char)s[-1]) ? guid_len(s) : 0;
        if (n == 0)
            continue;
        if (out[0] && (strlen(out) != n || strncmp(out, s, n) != 0)) {
            out[0] = '\0'; /* two of them */
            return false;
        }
        snprintf(out, NDA_TEXT_MAX + 1, "%.*s", (int)n, s);
        s += n - 1;
    }
    return out[0];
}
