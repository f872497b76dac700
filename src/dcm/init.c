/* SPDX-License-Identifier: Apache-2.0 */
/* src/dcm/init.c -- vivo_dcm_global_init(): every table that dcm looks things up in,
 * once, before any thread. */
#include "vivofs/dcm.h"

#include "tables.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct vivo_err verdict;
static int result;

static void build(void)
{
    result = vivo_dcm_dict_build(&verdict);
    if (result == 0)
        result = vivo_dcm_uid_build(&verdict);
}

int vivo_dcm_global_init(struct vivo_err *err)
{
    pthread_once(&once, build);
    if (result < 0 && err)
        *err = verdict;
    return result;
}
