/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/manifest_text.c -- lines, fields and the kind of a manifest. */
#include "drivers/manifest_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define SNIFF_LINES 200
#define BOOK_BYTES 8192u /* in which a workbook says that it is one */

int vivo_manifest_text_open(const char *path, struct manifest_text *t,
                            struct vivo_err *err)
{
    *t = (struct manifest_text){.separator = ','};
    vivo_buf_init(&t->record, MANIFEST_RECORD_MAX);
    t->file = fopen(path, "re");
    if (!t->file)
        return vivo_fail(err, errno == EACCES ? EACCES : EIO, "the manifest: %s",
                         strerror(errno));
    int rc = vivo_manifest_decode(&t->file, err);
    if (rc)
        vivo_manifest_text_close(t);
    return rc;
}

void vivo_manifest_text_close(struct manifest_text *t)
{
    if (t->file)
        fclose(t->file);
    free(t->line);
    vivo_buf_free(&t->record);
}

/* 1 = a line with its end; 0 = no more. */
static int read_line(struct manifest_text *t, size_t *len, struct vivo_err *err)
{
    ssize_t n;

    errno = 0;
    n = getline(&t->line, &t->cap, t->file);
    if (n < 0 && ferror(t->file))
        return vivo_fail(err, EIO, "the manifest: %s", strerror(errno));
    if (n < 0)
        return feof(t->file) ? 0 : vivo_fail(err, ENOMEM, "no memory for a line");
    t->number++;
    t->offset += n;
    if ((size_t)n > MANIFEST_RECORD_MAX || memchr(t->line, 0, (size_t)n))
        return vivo_fail(err, EBADMSG, "the manifest: line %zu is no text", t->number);
    *len = (size_t)n;
    return 1;
}

int vivo_manifest_seek(struct manifest_text *t, off_t offset, struct vivo_err *err)
{
    if (fseeko(t->file, offset, SEEK_SET) != 0)
        return vivo_fail(err, EIO, "the manifest: %s", strerror(errno));
    t->offset = offset;
    t->number = offset ? 1 : 0;
    return 0;
}

static char *trim(char *s, size_t len)
{
    while (len && strchr(" \t\r\n", s[len - 1]))
        len--;
    s[len] = '\0';
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* The byte order mark that Excel writes. */
static char *without_mark(const struct manifest_text *t, char *s)
{
    return t->number == 1 && !strncmp(s, "\xEF\xBB\xBF", 3) ? s + 3 : s;
}

int vivo_manifest_line(struct manifest_text *t, char **out, struct vivo_err *err)
{
    size_t len = 0;
    int rc = read_line(t, &len, err);

    if (rc == 1)
        *out = without_mark(t, trim(t->line, len));
    return rc;
}

/* Does a quoted field go on in the next line? */
static bool is_open(const struct vivo_buf *b)
{
    bool open = false;

    for (size_t i = 0; i < b->len; i++)
        open ^= b->data[i] == '"';
    return open;
}

/* In place: "" in quotes is one quote. Returns what follows the field's separator. */
static char *take_field(char *s, char separator, char **field)
{
    char *to = s;
    bool quoted = *s == '"', inside = quoted;

    *field = s;
    for (s += quoted; *s && (inside || *s != separator); s++) {
        if (quoted && *s == '"') {
            if (!inside || s[1] != '"') {
                inside = false;
                continue;
            }
            s++;
        }
        *to++ = *s;
    }
    s += *s == separator ? 1 : 0;
    *to = '\0';
    return s;
}

int vivo_manifest_record(struct manifest_text *t, struct vivo_err *err)
{
    char *s, *end;
    size_t len = 0;
    int rc;

    vivo_buf_clear(&t->record);
    t->start = t->offset;
    do {
        rc = read_line(t, &len, err);
        if (rc != 1)
            break;
        if (vivo_buf_add(&t->record, t->line, len) < 0)
            return vivo_fail(err, EBADMSG, "the manifest: line %zu is too long",
                             t->number);
        if (strspn((const char *)t->record.data, " \t\r\n") == t->record.len)
            vivo_buf_clear(&t->record);
        if (t->record.len == 0)
            t->start = t->offset;
    } while (t->record.len == 0 || is_open(&t->record));
    if (rc < 0 || t->record.len == 0)
        return rc;
    if (rc == 0)
        return vivo_fail(err, EBADMSG, "the manifest: a quote is never closed");
    s = without_mark(t, (char *)t->record.data);
    end = (char *)t->record.data + t->record.len;
    while (end > s && (end[-1] == '\n' || end[-1] == '\r'))
        *--end = '\0';
    /* A missing last field is an empty one to whoever asks for it. */
    for (t->nfields = 0; t->nfields < MANIFEST_COLUMNS_MAX && s < end;)
        s = take_field(s, t->separator, &t->fields[t->nfields++]);
    return 1;
}

char *vivo_manifest_bare(char *field)
{
    char *s = trim(field, strlen(field));
    size_t n = strlen(s);

    if (n < 2 || *s != '"' || s[n - 1] != '"')
        return s;
    return trim(s + 1, n - 2);
}

const char *vivo_manifest_value(const char *line, const char *key)
{
    size_t n = strlen(key);

    if (strncasecmp(line, key, n) != 0)
        return NULL;
    line += n;
    line += strspn(line, " \t");
    if (*line++ != '=')
        return NULL;
    return line + strspn(line, " \t");
}

static bool begins_url(const char *s)
{
    static const char *const schemes[] = {"http://", "https://", "s3://", "file:///"};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(schemes); i++)
        if (!strncmp(s, schemes[i], strlen(schemes[i])))
            return true;
    return false;
}

const char *vivo_manifest_find_url(const char *line, const char *begin, size_t *len)
{
    for (const char *s = line; *s; s++) {
        if ((s > line && !strchr(" \t\"',;=", s[-1])) || !begins_url(s) ||
            strncmp(s, begin, strlen(begin)) != 0)
            continue;
        char quote = s > line && strchr("\"'", s[-1]) ? s[-1] : '\0';
        const char *end = quote ? strchr(s, quote) : NULL;
        /* A path on a disk may hold blanks; what follows a tab never belongs to it. */
        const char *stops = strncmp(s, "file:", 5) != 0 ? " \t\"" : "\t";
        *len = end ? (size_t)(end - s) : strcspn(s, stops);
        return s;
    }
    return NULL;
}

/* ---- what kind it is
 * --------------------------------------------------------------- */

const char *vivo_manifest_column(const char *head)
{
    static const char *const names[][2] = {
        {"Series UID", "SeriesInstanceUID"},
        {"Series ID", "SeriesInstanceUID"},
        {"Series Instance UID", "SeriesInstanceUID"},
        {"Study UID", "StudyInstanceUID"},
        {"Study Instance UID", "StudyInstanceUID"},
        {"SOP Instance UID", "SOPInstanceUID"},
        {"Subject ID", "PatientID"},
        {"Patient ID", "PatientID"},
        {"collection_id", "Collection"},
        {"Collection", "Collection"},
        {"Url", "Url"},
        {"series_aws_url", "SeriesUrl"},
        {"imageUrl", "ImageUrl"},
        {"wsiimage_url", "ImageUrl"},
        {"Size", "Size"},
        {"Sha256", "Sha256"},
        {"Version", "Version"},
        {"License", "License"},
        {"Citation", "Citation"},
        {"Subject", "Subject"},
        {"MountPath", "MountPath"},
        {"SeriesInstanceUID", "SeriesInstanceUID"},
        {"SOPInstanceUID", "SOPInstanceUID"},
    };

    for (size_t i = 0; i < VIVO_ARRAY_LEN(names); i++)
        if (!strcasecmp(head, names[i][0]))
            return names[i][1];
    return head;
}

bool vivo_manifest_is_empty(const struct manifest_text *t)
{
    for (size_t k = 0; k < t->nfields; k++)
        if (*t->fields[k])
            return false;
    return true;
}

int vivo_manifest_read_head(struct manifest_text *t, const char *name)
{
    static const char separators[] = ",\t;";

    for (size_t i = 0; separators[i]; i++) {
        t->separator = separators[i];
        if (vivo_manifest_seek(t, 0, NULL) < 0 || vivo_manifest_record(t, NULL) != 1)
            continue;
        for (size_t k = 0; k < t->nfields; k++) {
            t->fields[k] = vivo_manifest_bare(t->fields[k]);
            if (!strcmp(vivo_manifest_column(t->fields[k]), name))
                return (int)k;
        }
    }
    return -1;
}

/* Where it says what series it means, and in which bucket, nobody has to be asked. */
static enum manifest_kind table_kind(struct manifest_text *t)
{
    bool series, url;

    if (vivo_manifest_read_head(t, "SeriesUrl") >= 0)
        return MANIFEST_LINKS;
    url = vivo_manifest_read_head(t, "Url") >= 0;
    if (url && vivo_manifest_read_head(t, "SOPInstanceUID") >= 0)
        return MANIFEST_ROWS;
    series = vivo_manifest_read_head(t, "SeriesInstanceUID") >= 0;
    if (series)
        return MANIFEST_TABLE;
    return url || vivo_manifest_read_head(t, "ImageUrl") >= 0 ? MANIFEST_LINKS
                                                              : MANIFEST_NONE;
}

static bool is_uid(const char *s)
{
    size_t n = strspn(s, "0123456789.");

    return n > 8 && n <= 64 && strchr(s, '.') && (!s[n] || s[n] == ',' || s[n] == ' ');
}

static enum manifest_kind line_kind(char *s)
{
    size_t len;
    const char *url = vivo_manifest_find_url(s, "", &len);

    if (vivo_manifest_value(s, "downloadServerUrl") ||
        vivo_manifest_value(s, "ListOfSeriesToDownload"))
        return MANIFEST_TCIA;
    if (url && url - s <= 1)
        return MANIFEST_URLS;
    if (vivo_manifest_find_url(s, "s3://", &len))
        return MANIFEST_S5CMD;
    return is_uid(vivo_manifest_bare(s)) ? MANIFEST_UIDS : MANIFEST_NONE;
}

/* The keys of a .tcia come in any order: some of them may stand first. */
static bool is_key(const char *s)
{
    static const char *const keys[] = {"includeAnnotation", "noOfrRetry",
                                       "databasketId",      "manifestVersion",
                                       "dataType",          "tempLoc"};

    for (size_t i = 0; i < VIVO_ARRAY_LEN(keys); i++)
        if (vivo_manifest_value(s, keys[i]))
            return true;
    return *s == '#' || !*s;
}

/* The portal of IDC puts one word above its commands, "study_manifest_cp_command". */
static bool is_word(const char *s)
{
    return *s &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")] ==
               '\0';
}

static enum manifest_kind lines_kind(struct manifest_text *t)
{
    bool headed = false;
    char *s;

    for (int i = 0; i < SNIFF_LINES && vivo_manifest_line(t, &s, NULL) == 1; i++) {
        if (is_key(s))
            continue;
        if (!headed && is_word(s)) {
            headed = true;
            continue;
        }
        enum manifest_kind kind = line_kind(s);
        /* A column of UIDs below its name is a table. */
        return headed && kind != MANIFEST_S5CMD && kind != MANIFEST_URLS ? MANIFEST_NONE
                                                                         : kind;
    }
    return MANIFEST_NONE;
}

/* XLSX and ODS are zips, which would be opened as such; XLS is a compound file. */
static bool is_workbook(const char *path, FILE *file)
{
    static const char *const ends[] = {".xlsx", ".xlsm", ".xls", ".ods"};
    static const char part[] = "xl/workbook.xml";
    char head[BOOK_BYTES];
    size_t n = fread(head, 1, sizeof head, file);
    const char *dot = strrchr(path, '.');
    bool zip = n > 4 && memcmp(head, "PK\3\4", 4) == 0;
    bool compound = n > 4 && memcmp(head, "\xD0\xCF\x11\xE0", 4) == 0;
    bool named = false;

    for (size_t i = 0; dot && i < VIVO_ARRAY_LEN(ends); i++)
        named |= !strcasecmp(dot, ends[i]);
    rewind(file);
    return (named && (zip || compound)) ||
           (zip && memmem(head, n, part, sizeof part - 1));
}

enum manifest_kind vivo_manifest_kind(const char *path)
{
    enum manifest_kind kind;
    struct manifest_text t;
    struct stat st;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
        vivo_manifest_text_open(path, &t, NULL) < 0)
        return MANIFEST_NONE;
    bool book = is_workbook(path, t.file);
    kind = book ? MANIFEST_BOOK : lines_kind(&t);
    if (kind == MANIFEST_NONE)
        kind = table_kind(&t);
    vivo_manifest_text_close(&t);
    return kind;
}
