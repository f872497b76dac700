/* SPDX-License-Identifier: Apache-2.0 */
/* src/cli/deid_object.c -- one object of `vivofs deid`: made under a name of its own
 * beside its place, which it gets when it is whole. */
#include "deid.h"

#include "vivofs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CHUNK (128u << 10)    /* on the stack of a thread */
#define AUDIT_MAX (64u << 20) /* bytes of one object's audit */

volatile sig_atomic_t deid_stop;

void deid_made_free(struct deid_made *m)
{
    if (m->tmp)
        unlink(m->tmp);
    free(m->tmp);
    free(m->dir);
    vivo_buf_free(&m->attrs);
    vivo_buf_free(&m->audit);
}

/* A full disk is told apart: nothing that follows will fit either. */
static int cannot_write(const char *what, struct vivo_err *err)
{
    int e = errno == EDQUOT ? ENOSPC : errno;
    return vivo_fail(err, e == ENOSPC ? ENOSPC : EIO, "%s: %s", what, strerror(e));
}

/* dir: of what is to be made, NULL = is there. Most often it is. */
static int make_temporary(char *tmp, const char *dir, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *again = strdup(tmp);
    if (!again)
        return vivo_fail(err, ENOMEM, "out of memory");
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && dir) {
        int rc = vivo_mkdirs(dir, 0777, err);
        if (rc)
            return rc;
        memcpy(tmp, again, strlen(again));
        fd = mkostemp(tmp, O_CLOEXEC);
    }
    return fd < 0 ? cannot_write("the output", err) : fd;
}

static int write_view(const struct vivo_view *v, const char *dir, const char *beside,
                      mode_t mode, char **out, struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *tmp = NULL;
    if (asprintf(&tmp, "%s.XXXXXX", beside) < 0) {
        tmp = NULL;
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    VIVO_AUTO(vivo_close_p) int fd = make_temporary(tmp, dir, err);
    if (fd < 0)
        return fd;
    int rc = vivo_view_copy(v, fd, &deid_stop, err);
    if (!rc && fchmod(fd, mode))
        rc = cannot_write("the output", err);
    if (rc)
        unlink(tmp);
    else
        *out = VIVO_STEAL(tmp);
    return rc;
}

int deid_digest_file(const char *path, char out[2 * VIVO_DIGEST_LEN + 1],
                     struct vivo_err *err)
{
    uint8_t buf[CHUNK], digest[VIVO_DIGEST_LEN];
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return vivo_fail(err, EIO, "%s", strerror(errno));
    struct vivo_sha256 *sum = vivo_sha256_begin();
    if (!sum)
        return vivo_fail(err, ENOMEM, "out of memory");
    ssize_t n;
    while ((n = read(fd, buf, sizeof buf)) > 0)
        vivo_sha256_add(sum, buf, (size_t)n);
    int rc = n < 0 ? vivo_fail(err, EIO, "%s", strerror(errno)) : 0;
    vivo_sha256_end(sum, digest);
    vivo_hex(digest, sizeof digest, out);
    return rc;
}

/* A DICOMDIR speaks of files by names that are not there any more: a new one is made
 * of what was written (PS3.15 E.2: an original must not stay in the file set). */
static bool is_dicomdir(const struct deid_made *m)
{
    struct vivo_attrs a = {m->attrs.data, m->attrs.len};
    struct vivo_attr records;
    return m->refusal == VIVO_REFUSAL_DICOMDIR ||
           vivo_attrs_find(a, 0x00041220, &records);
}

/* The header pass over one file, and its audit. */
static int clean(const struct deid_run *run, const char *path, struct deid_made *m,
                 struct vivo_view **out)
{
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct vivo_identity id;
    struct vivo_deid_report report = {0};
    if (fd < 0)
        return vivo_fail(&m->err, errno == ENOENT ? ENOENT : EIO, "%s",
                         strerror(errno));
    int rc = vivo_identity_of(fd, &id, &m->err);
    if (rc)
        return rc;
    int passes =
        run->filter ? vivo_filter_passes(run->filter, fd, id.size, &m->err) : 1;
    if (!passes) {
        m->other = true;
        return -EBADMSG;
    }
    /* What is not valid is told by the header pass. */
    m->err = (struct vivo_err){0};
    if (run->audit)
        vivo_deid_audit(run->deid, fd, &id, id.size, &m->audit, &m->err);
    m->err = (struct vivo_err){0};
    rc =
        vivo_deid_object(run->deid, fd, &id, id.size, out, &m->attrs, &report, &m->err);
    m->other = report.foreign;
    m->refusal = report.refusal;
    if (!rc)
        fd = -1; /* the view's now */
    return rc;
}

/* OUT/patient/study/series by the attributes as shown. */
static int folder_of(const struct deid_run *run, const struct deid_made *m, char **out,
                     struct vivo_err *err)
{
    struct vivo_attrs a = {m->attrs.data, m->attrs.len};
    char patient[VIVO_NAME_MAX + 1];
    char study[VIVO_NAME_MAX + 1];
    char series[VIVO_NAME_MAX + 1];
    vivo_name_patient(a, patient);
    bool plain = vivo_deid_cleans(run->deid, VIVO_TAG_SeriesDescription);
    (plain ? vivo_name_study_plain : vivo_name_study)(a, study);
    (plain ? vivo_name_series_plain : vivo_name_series)(a, series);
    if (asprintf(out, "%s/%s/%s/%s", run->out, patient, study, series) < 0) {
        *out = NULL;
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    return 0;
}

int deid_place(const struct deid_run *run, const struct deid_made *m, const char *copy,
               char **out, struct vivo_err *err)
{
    (void)run;
    struct vivo_attrs a = {m->attrs.data, m->attrs.len};
    char instance[VIVO_NAME_MAX + 1];
    char uid[VIVO_UID_MAX + 1];
    if (!vivo_attrs_text(a, VIVO_TAG_SOPInstanceUID, uid, sizeof uid))
        return vivo_fail(err, EBADMSG, "has no SOP Instance UID");
    vivo_name_instance(a, uid, copy, instance);
    if (asprintf(out, "%s/%s", m->dir, instance) < 0) {
        *out = NULL;
        return vivo_fail(err, ENOMEM, "out of memory");
    }
    return 0;
}

static mode_t file_mode(void)
{
    static _Atomic(unsigned) known; /* the mask and a bit above it, once it was read */
    if (!known) {
        mode_t mask = umask(0);
        umask(mask);
        known = mask | 01000u;
    }
    return 0666 & ~(mode_t)(known & 0777u);
}

void deid_make(const struct deid_run *run, const char *path, const char *to,
               struct deid_made *m)
{
    VIVO_AUTO(vivo_view_unref_p) struct vivo_view *view = NULL;
    VIVO_AUTO(vivo_free_p) char *beside = NULL;
    vivo_buf_init(&m->attrs, VIVO_ATTRS_MAX);
    vivo_buf_init(&m->audit, AUDIT_MAX);
    m->rc = deid_stop ? -EINTR : clean(run, path, m, &view);
    m->records = (!m->rc || m->rc == -EPERM) && is_dicomdir(m);
    if (run->audit && !m->other && deid_digest_file(path, m->input, &m->err))
        m->input[0] = '\0';
    if (m->rc || (m->records && !to))
        return;
    m->size = vivo_view_size(view);
    if (!to) {
        m->rc = folder_of(run, m, &m->dir, &m->err);
        if (!m->rc)
            m->rc = deid_place(run, m, NULL, &beside, &m->err);
    }
    if (!m->rc)
        m->rc =
            write_view(view, m->dir, to ? to : beside, file_mode(), &m->tmp, &m->err);
    m->full = m->rc == -ENOSPC;
}

int deid_audit_line(const struct deid_run *run, const struct deid_made *m,
                    const char *shown)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf line = {0};
    vivo_buf_init(&line, 2 * AUDIT_MAX);
    int rc = vivo_buf_printf(&line, "{\"input\":\"sha256:%s\",", m->input);
    if (!rc && shown) {
        rc = vivo_buf_puts(&line, "\"output\":");
        if (!rc)
            rc = vivo_buf_json(&line, shown, strlen(shown));
        if (!rc)
            rc = vivo_buf_puts(&line, ",\"actions\":");
        if (!rc)
            rc = vivo_buf_add(&line, m->audit.data, m->audit.len);
        if (!rc && !m->audit.len)
            rc = vivo_buf_puts(&line, "[]");
    } else if (!rc) {
        const char *code =
            m->refusal ? vivo_refusal_code(m->refusal) : "cannot-be-read-or-written";
        rc = vivo_buf_printf(&line, "\"refused\":\"%s\"", code);
    }
    if (!rc)
        rc = vivo_buf_puts(&line, "}\n");
    if (rc || fwrite(line.data, 1, line.len, run->audit) != line.len ||
        fflush(run->audit))
        return cli_fail("--audit: %s", rc ? "out of memory" : strerror(errno));
    return 0;
}
