/* SPDX-License-Identifier: Apache-2.0 */
/* include/vivofs/pool.h -- job threads. Each archive has its own, so that a dead
 * archive exhausts only its own. Made after the process has forked. */
#ifndef VIVOFS_POOL_H
#define VIVOFS_POOL_H

#include "vivofs/error.h"

#include <pthread.h>

#include <stddef.h>

/* Waits for the condition for at most ms milliseconds of CLOCK_MONOTONIC; the mutex is
 * held before and after. Wakes for nothing now and then, as conditions do. */
void vivo_wait_ms(pthread_cond_t *cond, pthread_mutex_t *mutex, long ms);

struct vivo_pool; /* thread-safe */
typedef void vivo_job_fn(void *ctx);

/* `name` (borrowed, <= 15 characters) shows in ps; nthreads >= 1, started lazily. */
int vivo_pool_new(const char *name, size_t nthreads, struct vivo_pool **out,
                  struct vivo_err *err);
/* Runs fn(ctx) once on a thread of the pool, first come first served. 0 or -ENOMEM. */
int vivo_pool_run(struct vivo_pool *p, vivo_job_fn *fn, void *ctx);
/* The same, before all that were given to vivo_pool_run and have not begun. */
int vivo_pool_run_first(struct vivo_pool *p, vivo_job_fn *fn, void *ctx);
/* Waits for running jobs, runs those still queued, ends the threads. */
void vivo_pool_free(struct vivo_pool *p);

#endif
