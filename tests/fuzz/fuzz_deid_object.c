/* SPDX-License-Identifier: Apache-2.0 */
/* tests/fuzz/fuzz_deid_object.c -- the header pass over hostile objects.
 *
 * The first byte chooses: 3 and above, the rest is a file as it is; 0 to 2, it is
 * what follows an identified head in implicit, explicit or big-endian syntax. Then the
 * names of that head must never come out, whatever follows them. */
#include "vivofs/deid.h"
#include "vivofs/file.h"

#include "../lib/dicom_make.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char token[] = "FUZZTOKENQX";

static const char *const profiles[] = {"basic", "research"};
#define PROFILES (sizeof profiles / sizeof *profiles)

static struct vivo_deid *profile(size_t which)
{
    static struct vivo_deid *all[PROFILES];
    struct vivo_deid *d = all[which];
    struct vivo_key *key = NULL;
    struct vivo_err err = {0};
    char path[] = "/tmp/vivofs-fuzz-XXXXXX";
    char bytes[32] = "thirty-two bytes of a fuzzer key";
    if (d)
        return d;
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes ||
        vivo_dcm_global_init(&err) || vivo_key_load(path, &key, &err) ||
        vivo_deid_new(profiles[which], VIVO_BURNED_IN_ALLOW, key, &d, &err)) {
        fprintf(stderr, "fuzz_deid_object: %s\n", err.text);
        exit(1);
    }
    close(fd);
    unlink(path);
    all[which] = d;
    return d;
}

static void head(struct make *m, unsigned way)
{
    static const char *const syntaxes[] = {MAKE_ILE, MAKE_ELE, MAKE_EBE};
    make_file(m, syntaxes[way], MAKE_CT, "1.2.826.0.1.99.1");
    make_text(m, 0x00080016, "UI", MAKE_CT);
    make_text(m, 0x00080050, "SH", token);
    make_text(m, 0x00081030, "LO", "scan FUZZTOKENQX left");
    make_sequence(m, 0x00081140, way == 1);
    make_item(m, way == 2);
    make_text(m, 0x00100010, "PN", token);
    make_item_end(m);
    make_sequence_end(m);
    make_text(m, 0x00091001, "LO", token);
    make_text(m, 0x00100010, "PN", token);
    make_text(m, 0x00100020, "LO", token);
}

/* Returns whether the token is in the result. */
static bool survives(size_t which, const uint8_t *data, size_t size)
{
    struct vivo_err err = {0};
    struct vivo_view *v = NULL;
    struct vivo_buf attrs;
    bool found = false;
    int fd = vivo_file_nameless(NULL, &err);
    if (fd < 0 || vivo_pwrite_full(fd, data, size, 0, &err))
        exit(1);
    vivo_buf_init(&attrs, VIVO_ATTRS_MAX);
    if (vivo_deid_object(profile(which), fd, NULL, size, &v, &attrs, NULL, &err)) {
        close(fd);
    } else {
        size_t n = (size_t)vivo_view_size(v);
        uint8_t *out = malloc(n + 1);
        if (out && vivo_view_pread(v, out, n, 0, &err) != (ssize_t)n)
            __builtin_trap();
        found = out && n && memmem(out, n, token, sizeof token - 1);
        free(out);
    }
    if (attrs.len && memmem(attrs.data, attrs.len, token, sizeof token - 1))
        found = true;
    if (memmem(err.text, sizeof err.text, token, sizeof token - 1))
        found = true;
    vivo_buf_free(&attrs);
    vivo_view_unref(v);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] > 2) {
        for (size_t i = 0; i < PROFILES; i++)
            survives(i, data + 1, size - 1);
        return 0;
    }
    if (memmem(data, size, token, sizeof token - 1))
        return 0; /* the input brings the token itself, where it may be kept */
    struct make m;
    head(&m, data[0]);
    make_bytes(&m, data + 1, size - 1);
    bool found = false;
    for (size_t i = 0; i < PROFILES; i++)
        found = survives(i, m.b, m.n) || found;
    free(m.b);
    if (found)
        __builtin_trap();
    return 0;
}
