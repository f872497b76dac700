#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# new-driver.sh NAME -- writes the three pieces of a new archive driver: its source, its
# line in drivers.def and its test. They compile; the test fails until the driver works.
set -eu

die() {
    echo "new-driver.sh: $*" >&2
    exit 1
}

[ $# -eq 1 ] || die "usage: new-driver.sh NAME"
name=$1
case $name in
*[!a-z0-9_]* | [!a-z]* | "") die "a name is lower-case letters, digits and _" ;;
esac
cd "$(dirname "$0")/.."
src=src/drivers/$name.c
test=tests/drivers/test_$name.c
[ ! -e "$src" ] || die "$src exists"
[ ! -e "$test" ] || die "$test exists"

cat >"$src" <<END
/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/$name.c -- archive = what it is, in one line.
 *
 * URL:      $name+https://HOST/path
 * Lists:    what one listing gives, at which levels
 * Locator:  what it is made of
 * Source:   the API's page and its date */
#include "vivofs/driver.h"

#include <errno.h>

struct $name {
    struct vivo_archive base;
};

static struct $name *${name}_of(struct vivo_archive *a)
{
    return (struct $name *)(void *)a;
}

static int open_$name(const struct vivo_archive_config *cfg, struct vivo_archive **out,
                      struct vivo_err *err)
{
    struct $name *s = calloc(1, sizeof *s);

    if (!s)
        return vivo_fail(err, ENOMEM, "no memory for an archive");
    s->base.net = cfg->net;
    *out = &s->base;
    return 0;
}

static void close_$name(struct vivo_archive *self)
{
    free(${name}_of(self));
}

static int list(struct vivo_archive *self, enum vivo_level level, const char *parent,
                struct vivo_intake *in, struct vivo_op *op)
{
    (void)self;
    (void)level;
    (void)parent;
    (void)in;
    return vivo_fail(&op->err, EIO, "$name: listing is not written yet");
}

static int fetch(struct vivo_archive *self, const char *locator,
                 struct vivo_delivery *to, struct vivo_op *op)
{
    (void)self;
    (void)locator;
    (void)to;
    return vivo_fail(&op->err, EIO, "$name: fetching is not written yet");
}

const struct vivo_driver vivo_driver_$name = {
    .name = "$name",
    .summary = "one line for the list of archives",
    .schemes = "$name+http $name+https",
    .caps = 0,
    .lists = 1u << VIVO_LEVEL_NONE,
    .listed = NULL,
    .open = open_$name,
    .close = close_$name,
    .list = list,
    .fetch = fetch,
};
END

cat >"$test" <<END
/* SPDX-License-Identifier: Apache-2.0 */
/* tests/drivers/test_$name.c -- conformance of the $name driver. */
#include "conformance.h"

#include <errno.h>

/* The bytes that the prepared source holds under this locator. */
static int expect(void *ctx, const char *locator, const char *uid, struct vivo_buf *out)
{
    (void)ctx;
    (void)locator;
    (void)uid;
    (void)out;
    return -ENOENT;
}

int main(void)
{
    const struct vivo_conformance c = {
        .source = "$name+http://127.0.0.1:8080/",
        .objects = 2,
        .expect = expect,
        .unknown = "nothing",
    };
    return vivo_conformance(&c) == 0 ? 0 : 1;
}
END

if command -v clang-format >/dev/null; then
    clang-format -i "$src" "$test"
fi
echo "VIVO_DRIVER($name)" >>src/drivers/drivers.def
echo "$src"
echo "$test"
echo "src/drivers/drivers.def: VIVO_DRIVER($name)"
