/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/s3_keys.c -- whose keys sign requests: those that Amazon's own tools
 * would take, in their order: the environment, then a profile of the credentials file.
 */
#include "drivers/s3.h"

#include "vivofs/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (256u << 10)

struct field {
    const char *name; /* in the file */
    char *out;
    size_t cap;
};

static int put(const char *what, const char *value, size_t len, char *out, size_t cap,
               struct vivo_err *err)
{
    if (len >= cap)
        return vivo_fail(err, EINVAL, "%s is longer than %zu bytes", what, cap - 1);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)value[i] <= ' ' || (unsigned char)value[i] >= 0x7F)
            return vivo_fail(err, EINVAL, "%s holds a character that no key has", what);
    memcpy(out, value, len);
    out[len] = '\0';
    return 0;
}

static int from_environment(const char *name, char *out, size_t cap,
                            struct vivo_err *err)
{
    const char *value = getenv(name);
    return value ? put(name, value, strlen(value), out, cap, err) : 0;
}

/* ---- the credentials file ------------------------------------------------------- */

static const char *trim(const char *s, size_t *len)
{
    while (*len && (*s == ' ' || *s == '\t')) {
        s++;
        (*len)--;
    }
    while (*len && strchr(" \t\r", s[*len - 1]))
        (*len)--;
    return s;
}

/* "name = value" of the profile. */
static int take_line(const char *line, size_t len, const struct field *fields, size_t n,
                     struct vivo_err *err)
{
    const char *eq = memchr(line, '=', len);
    if (!eq)
        return 0;
    size_t name_len = (size_t)(eq - line);
    size_t value_len = len - name_len - 1;
    const char *name = trim(line, &name_len);
    const char *value = trim(eq + 1, &value_len);
    for (size_t i = 0; i < n; i++)
        if (name_len == strlen(fields[i].name) &&
            memcmp(name, fields[i].name, name_len) == 0)
            return put(fields[i].name, value, value_len, fields[i].out, fields[i].cap,
                       err);
    return 0;
}

static int take_profile(const char *text, const char *profile,
                        const struct field *fields, size_t n, struct vivo_err *err)
{
    bool inside = false;
    int rc = 0;
    for (const char *at = text; *at && rc == 0;) {
        size_t whole = strcspn(at, "\n");
        size_t len = whole;
        const char *line = trim(at, &len);
        if (len > 1 && line[0] == '[')
            inside = len == strlen(profile) + 2 && line[len - 1] == ']' &&
                     memcmp(line + 1, profile, len - 2) == 0;
        else if (inside && len && line[0] != '#' && line[0] != ';')
            rc = take_line(line, len, fields, n, err);
        at += whole + (at[whole] == '\n');
    }
    return rc;
}

static char *file_path(void)
{
    const char *given = getenv("AWS_SHARED_CREDENTIALS_FILE");
    const char *home = getenv("HOME");
    char *path = NULL;
    if (given && *given)
        return strdup(given);
    if (!home || !*home || asprintf(&path, "%s/.aws/credentials", home) < 0)
        return NULL;
    return path;
}

static int from_file(struct vivo_s3_keys *k, struct vivo_err *err)
{
    const struct field fields[] = {
        {"aws_access_key_id", k->id, sizeof k->id},
        {"aws_secret_access_key", k->secret, sizeof k->secret},
        {"aws_session_token", k->session, sizeof k->session},
        {"region", k->region, sizeof k->region},
    };
    VIVO_AUTO(vivo_free_p) char *path = file_path();
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    const char *profile = getenv("AWS_PROFILE");
    struct stat st;
    if (!path || stat(path, &st) < 0)
        return 0; /* nothing there: unsigned */
    if (st.st_mode & 077)
        return vivo_fail(err, EPERM, "%s: readable by others; chmod 600 it", path);
    vivo_buf_init(&text, FILE_MAX);
    int rc = vivo_file_read(path, text.max, &text, err);
    if (rc)
        return rc;
    if (text.len)
        rc = take_profile((const char *)text.data,
                          profile && *profile ? profile : "default", fields,
                          VIVO_ARRAY_LEN(fields), err);
    explicit_bzero(text.data, text.len);
    return rc ? vivo_fail_in(err, "%s", path) : 0;
}

/* ---- both ------------------------------------------------------------------------ */

static int read_keys(struct vivo_s3_keys *k, struct vivo_err *err)
{
    int rc = from_environment("AWS_ACCESS_KEY_ID", k->id, sizeof k->id, err);
    if (rc == 0)
        rc =
            from_environment("AWS_SECRET_ACCESS_KEY", k->secret, sizeof k->secret, err);
    if (rc == 0)
        rc = from_environment("AWS_SESSION_TOKEN", k->session, sizeof k->session, err);
    if (rc == 0 && !k->id[0])
        rc = from_file(k, err);
    if (rc == 0)
        rc = from_environment("AWS_DEFAULT_REGION", k->region, sizeof k->region, err);
    if (rc == 0)
        rc = from_environment("AWS_REGION", k->region, sizeof k->region, err);
    if (rc == 0 && !k->id[0] != !k->secret[0])
        rc = vivo_fail(err, EINVAL,
                       "of the S3 keys only one is given: AWS_ACCESS_KEY_ID and "
                       "AWS_SECRET_ACCESS_KEY belong together");
    for (const char *p = k->region; rc == 0 && *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", *p))
            rc = vivo_fail(err, EINVAL, "the S3 region is no name of one");
    return rc;
}

int vivo_s3_keys_read(struct vivo_s3_keys *out, struct vivo_err *err)
{
    *out = (struct vivo_s3_keys){0};
    int rc = read_keys(out, err);
    if (rc)
        explicit_bzero(out, sizeof *out);
    return rc;
}
