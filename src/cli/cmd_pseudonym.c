/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_pseudonym.c -- `vivofs pseudonym`: the forward mapping, for the custodian
 * of a key. Originals come on stdin, never on the command line; every use is written to
 * an audit file first, with how many there were and never which. */
#include "cli.h"

#include "vivofs/deid.h"
#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

enum { LINE_MAX_ = 1024, INPUT_MAX = 64 << 20 };

struct mapping {
    const char *key, *issuer, *kind_word;
    enum vivo_forward kind;
    struct vivo_buf text; /* what came on stdin; lines become strings */
    size_t lines;
};

static int take_kind(struct mapping *m, const char *word)
{
    static const char *const words[] = {[VIVO_FORWARD_PATIENT] = "patient",
                                        [VIVO_FORWARD_UID] = "uid",
                                        [VIVO_FORWARD_OFFSET] = "offset"};
    for (size_t i = 0; i < VIVO_ARRAY_LEN(words); i++) {
        if (strcmp(word, words[i]) != 0)
            continue;
        m->kind = (enum vivo_forward)i;
        m->kind_word = words[i];
        return 0;
    }
    return cli_usage("pseudonym: --kind is patient, uid or offset, not '%s'", word);
}

static int parse_args(struct mapping *m, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value)
            return cli_usage("pseudonym: '%s' and nothing behind it", argv[i]);
        if (strcmp(argv[i], "--key") == 0)
            m->key = value;
        else if (strcmp(argv[i], "--issuer") == 0)
            m->issuer = value;
        else if (strcmp(argv[i], "--kind") != 0)
            return cli_usage("pseudonym: unknown argument '%s'", argv[i]);
        else if (take_kind(m, value))
            return 2;
    }
    if (!m->key)
        return cli_usage("pseudonym: --key FILE is needed");
    return 0;
}

/* All of stdin; nothing is answered before the audit knows how much was asked. */
static int read_input(struct mapping *m, struct vivo_err *err)
{
    char chunk[65536];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        int rc = vivo_buf_add(&m->text, chunk, n);
        if (rc)
            return vivo_fail(err, -rc, "more than %d MiB on stdin", INPUT_MAX >> 20);
    }
    if (ferror(stdin))
        return vivo_fail(err, EIO, "stdin: %s", strerror(errno));
    if (m->text.len && m->text.data[m->text.len - 1] != '\n' &&
        vivo_buf_add(&m->text, "\n", 1))
        return vivo_fail(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < m->text.len; i++)
        m->lines += m->text.data[i] == '\n';
    return 0;
}

static int tell_audit(const struct mapping *m, const struct vivo_key *key,
                      struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *dir = vivo_user_dir(VIVO_DIR_STATE, NULL);
    VIVO_AUTO(vivo_free_p) char *path = vivo_user_dir(VIVO_DIR_STATE, "audit.log");
    if (!dir || !path)
        return vivo_fail(err, ENOENT,
                         "no place for the audit: neither HOME nor XDG_STATE_HOME is "
                         "set");
    int rc = vivo_mkdirs(dir, 0700, err);
    if (rc)
        return rc;
    char stamp[32], line[256];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    int n = snprintf(line, sizeof line,
                     "%s uid=%u pid=%d pseudonym kind=%s lines=%zu key=%s\n", stamp,
                     (unsigned)getuid(), (int)getpid(), m->kind_word, m->lines,
                     vivo_key_id(key));
    VIVO_AUTO(vivo_close_p)
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        return vivo_fail(err, EIO, "audit file %s: %s", path, strerror(errno));
    return 0;
}

static char *trim(char *line)
{
    size_t n = strlen(line);
    while (n && strchr(" \t\r", line[n - 1]))
        line[--n] = '\0';
    return line + strspn(line, " \t");
}

static int print_row(const char *original, const char *shown)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf row = {0};
    vivo_buf_init(&row, 4 * LINE_MAX_);
    int rc = vivo_buf_csv(&row, original, strlen(original));
    if (!rc)
        rc = vivo_buf_printf(&row, ",%s\r\n", shown);
    if (!rc)
        fwrite(row.data, 1, row.len, stdout);
    vivo_wipe(row.data, row.len);
    return rc;
}

static int map_lines(struct mapping *m, const struct vivo_key *key)
{
    int status = 0;
    size_t number = 0;
    printf("original,%s\r\n", m->kind == VIVO_FORWARD_OFFSET ? "days" : "shown");
    for (char *line = (char *)m->text.data, *end; number < m->lines; line = end + 1) {
        struct vivo_err err = {0};
        char shown[VIVO_UID_MAX + 1];
        number++;
        end = strchr(line, '\n');
        *end = '\0';
        char *original = trim(line);
        if (!*original)
            continue;
        if (strlen(original) > LINE_MAX_)
            vivo_fail(&err, EINVAL, "longer than %d bytes", LINE_MAX_);
        else
            vivo_key_forward(key, m->kind, m->issuer, original, shown, &err);
        if (err.errnum) {
            status = cli_fail("stdin, line %zu: %s", number, err.text);
            continue;
        }
        if (print_row(original, shown))
            return cli_fail("out of memory");
    }
    return fflush(stdout) || ferror(stdout) ? cli_fail("stdout: %s", strerror(errno))
                                            : status;
}

int cmd_pseudonym(int argc, char **argv)
{
    struct mapping m = {.issuer = "", .kind_word = "patient"};
    struct vivo_err err = {0};
    struct vivo_key *key = NULL;
    int rc = parse_args(&m, argc, argv);
    if (rc)
        return rc;
    vivo_buf_init(&m.text, INPUT_MAX);
    rc = vivo_key_load(m.key, &key, &err);
    if (!rc)
        rc = read_input(&m, &err);
    if (!rc && m.text.len && memchr(m.text.data, 0, m.text.len))
        rc = vivo_fail(&err, EINVAL, "stdin: not text");
    if (!rc)
        rc = tell_audit(&m, key, &err);
    if (!rc && vivo_buf_add(&m.text, "", 1))
        rc = vivo_fail(&err, ENOMEM, "out of memory");
    rc = rc ? cli_fail("%s", err.text) : map_lines(&m, key);
    if (m.text.data)
        vivo_wipe(m.text.data, m.text.len);
    vivo_buf_free(&m.text);
    vivo_key_free(key);
    return rc;
}
