/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/cmd_login.c -- `vivofs login NAME`: asks for a user and a password and keeps
 * them in the user's netrc file, which every mount reads that names no other. A
 * password comes from the terminal without an echo, or from stdin; never from the
 * command line. */
#include "cli.h"

#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>

enum { SECRET_MAX = 256, FILE_MAX = 1 << 20 };

struct login {
    char host[256];
    char user[SECRET_MAX], password[SECRET_MAX];
};

/* ---- asking -----------------------------------------------------------------------
 */

/* One line without its end. -EINTR: Ctrl-C or Ctrl-D, with the terminal's own handling
 * of them off. */
static int read_line(int fd, char *out, size_t cap)
{
    size_t n = 0;
    for (char c; read(fd, &c, 1) == 1;) {
        if (c == '\n' || c == '\r') {
            out[n] = '\0';
            return 0;
        }
        if (c == 3 || (c == 4 && n == 0))
            return -EINTR;
        if (c == 127 || c == 8)
            n -= n > 0;
        else if ((unsigned char)c < ' ' || n + 1 == cap)
            return -EINVAL;
        else
            out[n++] = c;
    }
    out[n] = '\0';
    return n ? 0 : -EINTR;
}

static int ask(int tty, const char *prompt, bool echo, char *out, size_t cap)
{
    struct termios before, now;
    if (tcgetattr(tty, &before))
        return -errno;
    now = before;
    now.c_lflag &= ~(tcflag_t)(ICANON | ISIG | (echo ? 0 : ECHO));
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    tcsetattr(tty, TCSAFLUSH, &now);
    dprintf(tty, "%s", prompt);
    int rc = read_line(tty, out, cap);
    tcsetattr(tty, TCSAFLUSH, &before);
    if (!echo || rc)
        dprintf(tty, "\n");
    return rc;
}

static int ask_both(struct login *l)
{
    char prompt[300];
    if (!isatty(STDIN_FILENO)) {
        int rc = read_line(STDIN_FILENO, l->user, sizeof l->user);
        return rc ? rc : read_line(STDIN_FILENO, l->password, sizeof l->password);
    }
    VIVO_AUTO(vivo_close_p) int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return -errno;
    snprintf(prompt, sizeof prompt, "User at %s: ", l->host);
    int rc = ask(tty, prompt, true, l->user, sizeof l->user);
    return rc ? rc : ask(tty, "Password: ", false, l->password, sizeof l->password);
}

/* ---- keeping ------------------------------------------------------------------------
 */

/* curl reads quoted words, with a backslash before quotes and backslashes. */
static int add_quoted(struct vivo_buf *out, const char *word)
{
    int rc = vivo_buf_puts(out, "\"");
    for (; *word && !rc; word++) {
        if (*word == '"' || *word == '\\')
            rc = vivo_buf_puts(out, "\\");
        if (!rc)
            rc = vivo_buf_add(out, word, 1);
    }
    return rc ? rc : vivo_buf_puts(out, "\"");
}

static int add_entry(struct vivo_buf *out, const struct login *l)
{
    int rc = vivo_buf_printf(out, "machine %s login ", l->host);
    if (!rc)
        rc = add_quoted(out, l->user);
    if (!rc)
        rc = vivo_buf_puts(out, " password ");
    if (!rc)
        rc = add_quoted(out, l->password);
    return rc ? rc : vivo_buf_puts(out, "\n");
}

/* Lines of the file that are not of this host; what others wrote there stays. */
static int keep_others(const char *old, const char *host, struct vivo_buf *out)
{
    char head[300];
    int n = snprintf(head, sizeof head, "machine %s ", host);
    int rc = 0;
    for (const char *line = old; *line && !rc;) {
        size_t len = strcspn(line, "\n");
        if (strncasecmp(line, head, (size_t)n) != 0)
            rc = vivo_buf_add(out, line, len) || vivo_buf_puts(out, "\n") ? -ENOSPC : 0;
        line += len + (line[len] == '\n');
    }
    return rc;
}

static int check_mode(const char *path, struct vivo_err *err)
{
    struct stat st;
    if (!stat(path, &st) && (st.st_mode & 077))
        return vivo_fail(err, EPERM, "%s: readable by others; chmod 600 it", path);
    return 0;
}

static int keep(const struct login *l, const char *path, struct vivo_err *err)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf old = {0}, fresh = {0};
    VIVO_AUTO(vivo_free_p) char *dir = vivo_user_dir(VIVO_DIR_CONFIG, NULL);
    vivo_buf_init(&old, FILE_MAX);
    vivo_buf_init(&fresh, FILE_MAX);
    int rc =
        dir ? vivo_mkdirs(dir, 0700, err) : vivo_fail(err, ENOMEM, "out of memory");
    if (!rc)
        rc = check_mode(path, err);
    if (!rc && !access(path, F_OK))
        rc = vivo_file_read(path, FILE_MAX, &old, err);
    if (rc)
        return rc;
    if ((old.data && keep_others((char *)old.data, l->host, &fresh)) ||
        add_entry(&fresh, l))
        rc = vivo_fail(err, EIO, "%s: too long", path);
    else
        rc = vivo_file_write(path, fresh.data, fresh.len, 0600, err);
    if (old.data)
        vivo_wipe(old.data, old.len);
    if (fresh.data)
        vivo_wipe(fresh.data, fresh.len);
    return rc;
}

/* ---- the command --------------------------------------------------------------------
 */

static int find_host(const char *name, struct login *l, struct vivo_err *err)
{
    struct source s;
    int rc = source_parse(name, NULL, 0, &s, err);
    if (rc)
        return rc;
    const char *at = strstr(s.location, "://");
    const char *host = at ? at + 3 : "";
    bool six =
        *host == '['; /* curl looks for an address of IPv6 without its brackets */
    host += six;
    size_t n = strcspn(host, six ? "]/?#" : ":/?#");
    if (!n || n >= sizeof l->host || memchr(host, '@', n))
        rc = vivo_fail(err, EINVAL, "%s: no server that one could log in to", name);
    else
        snprintf(l->host, sizeof l->host, "%.*s", (int)n, host);
    source_free(&s);
    return rc;
}

int cmd_login(int argc, char **argv)
{
    struct login l = {0};
    struct vivo_err err = {0};
    if (argc != 2)
        return cli_usage("login: a preset or URL is needed, and nothing else");
    VIVO_AUTO(vivo_free_p) char *path = vivo_user_dir(VIVO_DIR_CONFIG, "netrc");
    if (!path)
        return cli_fail("no place for credentials: neither HOME nor XDG_CONFIG_HOME is "
                        "set");
    if (find_host(argv[1], &l, &err))
        return cli_fail("%s", err.text);
    int rc = ask_both(&l);
    if (!rc && (!*l.user || !*l.password))
        rc = -EINVAL;
    if (rc == -EINVAL)
        cli_fail("a user and a password are needed, each a line of at most %d bytes",
                 SECRET_MAX - 1);
    else if (rc)
        cli_fail("nothing was kept: %s", rc == -EINTR ? "no answer" : strerror(-rc));
    else if ((rc = keep(&l, path, &err)) != 0)
        cli_fail("%s", err.text);
    else
        printf("Kept in %s for %s.\n", path, l.host);
    vivo_wipe(&l, sizeof l);
    return rc ? 1 : 0;
}
