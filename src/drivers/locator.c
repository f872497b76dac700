/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/locator.c -- see locator.h. Locators come back from disk: nothing of them
 * is trusted. */
#include "locator.h"

#include <string.h>

bool vivo_locator_part(const char **s, char *out, size_t cap)
{
    if (!*s)
        return false;
    size_t n = strcspn(*s, "/");
    if (n >= cap)
        return false;
    memcpy(out, *s, n);
    out[n] = '\0';
    *s = (*s)[n] == '/' ? *s + n + 1 : NULL;
    return true;
}
