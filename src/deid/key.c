/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/key.c -- the secret of a site: key files, sub-keys, the key id.
 *
 * The bytes of the file are condensed to 32 at once (HMAC-SHA-256, RFC 2104); only
 * those and the sub-keys stay, in pages of their own that are locked, left out of
 * core dumps and wiped. */
#include "options.h"

#include "vivofs/file.h"
#include "vivofs/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <keyutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define KEY_MIN 32
#define KEY_MAX (1u << 20)
#define KEYRING "keyring:"

struct vivo_key {
    uint8_t master[VIVO_DIGEST_LEN];
    struct vivo_hmac sub[VIVO_DOMAIN_COUNT]; /* under the sub-key of the domain */
    char id[17];
};

static const char *const domain_names[VIVO_DOMAIN_COUNT] = {
    [VIVO_DOMAIN_NONE] = "none",
    [VIVO_DOMAIN_PATIENT] = "patient",
    [VIVO_DOMAIN_STUDY_PATIENT] = "patient-of-study",
    [VIVO_DOMAIN_UID] = "uid",
    [VIVO_DOMAIN_CODE] = "code",
    [VIVO_DOMAIN_OFFSET] = "offset",
    [VIVO_DOMAIN_PERSON] = "person",
};

static struct vivo_key *new_locked(void)
{
    struct vivo_key *k = mmap(NULL, sizeof *k, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (k == MAP_FAILED)
        return NULL;
    if (mlock(k, sizeof *k))
        vivo_log(VIVO_LOG_WARN, "deid.key", "the key cannot be locked in memory");
    madvise(k, sizeof *k, MADV_DONTDUMP);
    return k;
}

static void derive_all(struct vivo_key *k)
{
    uint8_t sub[VIVO_DIGEST_LEN];
    for (int i = 0; i < VIVO_DOMAIN_COUNT; i++) {
        vivo_hmac_sha256(k->master, sizeof k->master, domain_names[i],
                         strlen(domain_names[i]), sub);
        vivo_hmac_init(&k->sub[i], sub, sizeof sub);
    }
    vivo_wipe(sub, sizeof sub);
    uint8_t id[VIVO_DIGEST_LEN];
    vivo_hmac_sha256(k->master, sizeof k->master, "key id", 6, id);
    vivo_hex(id, 8, k->id);
}

int vivo_key_from(const void *data, size_t len, struct vivo_key **out,
                  struct vivo_err *err)
{
    if (len < KEY_MIN)
        return vivo_fail(err, EINVAL, "the key is shorter than %d bytes", KEY_MIN);
    struct vivo_key *k = new_locked();
    if (!k)
        return vivo_fail(err, ENOMEM, "no memory for the key");
    static const char label[] = "vivofs key 1";
    vivo_hmac_sha256(label, sizeof label - 1, data, len, k->master);
    derive_all(k);
    *out = k;
    return 0;
}

static int check_file(int fd, const char *path, size_t *size, struct vivo_err *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return vivo_fail(err, EIO, "key file %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return vivo_fail(err, EINVAL, "key file %s: not a regular file", path);
    if (st.st_uid != geteuid())
        return vivo_fail(err, EPERM, "key file %s: belongs to another user", path);
    if (st.st_mode & 077)
        return vivo_fail(err, EPERM, "key file %s: readable by others, want mode 0600",
                         path);
    if (st.st_size < KEY_MIN)
        return vivo_fail(err, EINVAL, "key file %s: shorter than %d bytes", path,
                         KEY_MIN);
    if (st.st_size > (off_t)KEY_MAX)
        return vivo_fail(err, EINVAL, "key file %s: longer than 1 MiB", path);
    *size = (size_t)st.st_size;
    return 0;
}

/* Nobody but its possessor reads a key of the kernel's, so there is no mode to check.
 */
static int load_keyring(const char *path, struct vivo_key **out, struct vivo_err *err)
{
    const char *name = path + strlen(KEYRING);
    key_serial_t serial = request_key("user", name, NULL, 0);
    void *bytes = NULL;
    if (serial < 0)
        return vivo_fail(err, errno == EACCES ? EACCES : ENOENT,
                         "key %s: the kernel's keyrings have none of that name: %s",
                         path, strerror(errno));
    long n = keyctl_read_alloc(serial, &bytes);
    if (n < 0)
        return vivo_fail(err, EACCES, "key %s: %s", path, strerror(errno));
    int rc = vivo_key_from(bytes, (size_t)n, out, err);
    vivo_wipe(bytes, (size_t)n);
    free(bytes);
    return rc;
}

int vivo_key_load(const char *path, struct vivo_key **out, struct vivo_err *err)
{
    if (strncmp(path, KEYRING, strlen(KEYRING)) == 0)
        return load_keyring(path, out, err);
    VIVO_AUTO(vivo_close_p) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        int e = errno == ENOENT || errno == EACCES ? errno : EIO;
        return vivo_fail(err, e, "key file %s: %s", path, strerror(errno));
    }
    size_t size = 0;
    int rc = check_file(fd, path, &size, err);
    if (rc)
        return rc;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return vivo_fail(err, ENOMEM, "no memory for the key");
    rc = vivo_pread_full(fd, bytes, size, 0, err);
    if (!rc)
        rc = vivo_key_from(bytes, size, out, err);
    vivo_wipe(bytes, size);
    free(bytes);
    return rc;
}

static int make_default(const char *path, struct vivo_err *err)
{
    uint8_t bytes[64];
    if (vivo_random(bytes, sizeof bytes))
        return vivo_fail(err, EIO, "no random bytes for a new key");
    /* O_EXCL: of two processes that start together one makes the key. */
    VIVO_AUTO(vivo_close_p)
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        vivo_wipe(bytes, sizeof bytes);
        return vivo_fail(err, errno == EEXIST ? EEXIST : EIO, "key file %s: %s", path,
                         strerror(errno));
    }
    int rc = vivo_pwrite_full(fd, bytes, sizeof bytes, 0, err);
    vivo_wipe(bytes, sizeof bytes);
    if (!rc && fsync(fd))
        rc = vivo_fail(err, EIO, "key file %s: %s", path, strerror(errno));
    if (rc)
        unlink(path);
    return rc;
}

int vivo_key_default(struct vivo_key **out, bool *made, char **path,
                     struct vivo_err *err)
{
    VIVO_AUTO(vivo_free_p) char *dir = vivo_user_dir(VIVO_DIR_CONFIG, NULL);
    VIVO_AUTO(vivo_free_p) char *file = vivo_user_dir(VIVO_DIR_CONFIG, "key");
    if (!dir || !file)
        return vivo_fail(err, ENOENT,
                         "no place for a key: neither HOME nor XDG_CONFIG_HOME is set");
    bool fresh = false;
    if (access(file, F_OK)) {
        int rc = vivo_mkdirs(dir, 0700, err);
        if (!rc)
            rc = make_default(file, err);
        if (rc && rc != -EEXIST)
            return rc;
        fresh = !rc;
        vivo_err_clear(err);
    }
    int rc = vivo_key_load(file, out, err);
    if (rc)
        return rc;
    if (made)
        *made = fresh;
    if (path)
        *path = VIVO_STEAL(file);
    return 0;
}

void vivo_key_free(struct vivo_key *k)
{
    if (!k)
        return;
    vivo_wipe(k, sizeof *k);
    munmap(k, sizeof *k);
}

const char *vivo_key_id(const struct vivo_key *k)
{
    return k->id;
}

void vivo_key_derive(const struct vivo_key *k, const char *domain, const void *data,
                     size_t len, uint8_t out[VIVO_DIGEST_LEN])
{
    uint8_t sub[VIVO_DIGEST_LEN];
    vivo_hmac_sha256(k->master, sizeof k->master, domain, strlen(domain), sub);
    vivo_hmac_sha256(sub, sizeof sub, data, len, out);
    vivo_wipe(sub, sizeof sub);
}

void vivo_key_mac(const struct vivo_key *k, enum vivo_domain domain, const void *data,
                  size_t len, uint8_t out[VIVO_DIGEST_LEN])
{
    vivo_hmac(&k->sub[domain], data, len, out);
}

int vivo_key_forward(const struct vivo_key *k, enum vivo_forward kind,
                     const char *issuer, const char *text, char out[VIVO_UID_MAX + 1],
                     struct vivo_err *err)
{
    char patient[22];
    if (kind == VIVO_FORWARD_UID) {
        size_t n = strlen(text);
        if (!n || n > VIVO_UID_MAX || strspn(text, "0123456789.") < n)
            return vivo_fail(err, EINVAL, "not a UID");
        if (vivo_uid_is_known(text, n))
            snprintf(out, VIVO_UID_MAX + 1, "%s", text);
        else
            vivo_pseudo_uid(k, text, n, out);
        return 0;
    }
    int rc = vivo_rewrite_pseudonym(k, "ISO_IR 192", issuer, text, patient, err);
    if (rc)
        return rc;
    if (kind == VIVO_FORWARD_PATIENT)
        snprintf(out, VIVO_UID_MAX + 1, "%s", patient);
    else
        snprintf(out, VIVO_UID_MAX + 1, "%" PRId64, vivo_date_offset(k, patient));
    return 0;
}
