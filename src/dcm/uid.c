/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/uid.c -- keywords of UIDs (PS3.6 Annex A) and which UIDs are registered.
 *
 * The table holds the standard's own keywords (uid_supplement.def) and those made
 * from GDCM's names, so that older spellings ("VerificationSOPClass") are found too.
 * Read-only after vivo_dcm_global_init(). */
#include "vivofs/dcm.h"

#include "gdcm.h"
#include "tables.h"

#include <errno.h>
#include <string.h>

#define WORDS_MAX 2048
#define SLOTS 4096
#define KEYWORD_MAX 128
#define POOL_MAX (256u << 10)

static struct {
    struct {
        const char *keyword, *uid;
    } words[WORDS_MAX];
    size_t n;
    uint16_t slots[SLOTS]; /* word + 1; 0 = empty */
    struct vivo_arena *pool;
} table;

/* The slot of a keyword, or the empty one where it would go. */
static size_t slot_of(const char *s, size_t len)
{
    size_t at = vivo_dcm_hash_word(s, len) & (SLOTS - 1);
    for (; table.slots[at]; at = (at + 1) & (SLOTS - 1)) {
        const char *word = table.words[table.slots[at] - 1].keyword;
        if (strncasecmp(word, s, len) == 0 && word[len] == '\0')
            break;
    }
    return at;
}

static int add_word(const char *uid, const char *keyword)
{
    size_t len = strlen(keyword);
    size_t at = slot_of(keyword, len);
    if (table.slots[at])
        return 0; /* the first one counts: current before retired */
    if (table.n == WORDS_MAX)
        return -ENOSPC;
    table.words[table.n].keyword = vivo_arena_strndup(table.pool, keyword, len);
    table.words[table.n].uid = vivo_arena_strndup(table.pool, uid, strlen(uid));
    if (!table.words[table.n].keyword || !table.words[table.n].uid)
        return -ENOMEM;
    table.slots[at] = (uint16_t)++table.n;
    return 0;
}

static bool is_alnum(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* "Ultrasound Multi-frame Image Storage" is UltrasoundMultiFrameImageStorage: words
 * joined, first letters large; what follows ':' or '(' explains. */
static int add_name(void *ctx, const char *uid, const char *name)
{
    (void)ctx;
    char keyword[KEYWORD_MAX];
    size_t n = 0;
    bool first = true;
    for (; *name && *name != ':' && *name != '(' && n < sizeof keyword - 1; name++) {
        bool letter = is_alnum(*name);
        if (letter)
            keyword[n++] =
                first && *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name;
        first = !letter;
    }
    keyword[n] = '\0';
    return n > 0 && strcmp(keyword, "NULL") != 0 ? add_word(uid, keyword) : 0;
}

int vivo_dcm_uid_build(struct vivo_err *err)
{
    static const char *const rows[][2] = {
#define VIVO_UID(uid, keyword) {uid, keyword},
#include "uid_supplement.def"
#undef VIVO_UID
    };
    table.pool = vivo_arena_new(POOL_MAX);
    int rc = table.pool ? 0 : -ENOMEM;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows) && rc == 0; i++)
        rc = add_word(rows[i][0], rows[i][1]);
    if (rc == 0)
        rc = vivo_gdcm_uids(add_name, NULL);
    if (rc < 0)
        return vivo_fail(err, rc == -ENOMEM ? ENOMEM : EIO,
                         "UIDs: GDCM's table could not be copied");
    return 0;
}

const char *vivo_dcm_uid_keyword(const char *s, size_t len)
{
    size_t at = slot_of(s, len);
    return table.slots[at] ? table.words[table.slots[at] - 1].uid : NULL;
}

bool vivo_dcm_uid_registered(const char *uid, size_t len)
{
    static const struct {
        const char *uid;
        size_t len;
        bool root;
    } rows[] = {
#define VIVO_UID(uid) {uid, sizeof(uid) - 1, false},
#define VIVO_UID_ROOT(uid) {uid, sizeof(uid) - 1, true},
#include "uid_registered.def"
#undef VIVO_UID
#undef VIVO_UID_ROOT
    };
    while (len > 0 && (uid[len - 1] == '\0' || uid[len - 1] == ' '))
        len--;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++) {
        size_t n = rows[i].len;
        bool fits = rows[i].root ? len > n : len == n;
        if (fits && memcmp(uid, rows[i].uid, n) == 0)
            return true;
    }
    return false;
}
