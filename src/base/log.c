/* SPDX-License-Identifier: Apache-2.0 */
/* src/base/log.c -- one line, one event; see include/vivofs/log.h. */
#include "vivofs/log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

enum { RING = 64 * 1024, LINE = 512 };

static struct {
    pthread_mutex_t mutex;
    enum vivo_log_to to;       /* set before threads exist */
    enum vivo_log_level level; /* likewise */
    char ring[RING];           /* guarded by mutex */
    size_t head, used;         /* guarded by mutex */
} logger = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .to = VIVO_LOG_TO_STDERR,
    .level = VIVO_LOG_INFO,
};

void vivo_log_setup(enum vivo_log_to to, enum vivo_log_level level)
{
    logger.to = to;
    logger.level = level;
    if (to == VIVO_LOG_TO_SYSLOG)
        openlog("vivofs", LOG_PID, LOG_DAEMON);
}

static const char *level_word(enum vivo_log_level level)
{
    static const char *const words[] = {"", "error", "warn ", "info ", "debug"};
    return words[level];
}

static int syslog_priority(enum vivo_log_level level)
{
    static const int priorities[] = {LOG_DEBUG, LOG_ERR, LOG_WARNING, LOG_INFO,
                                     LOG_DEBUG};
    return priorities[level];
}

static void keep_locked(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        logger.ring[(logger.head + i) % RING] = line[i];
    logger.head = (logger.head + len) % RING;
    logger.used = VIVO_MIN(logger.used + len, (size_t)RING);
}

void vivo_log(enum vivo_log_level level, const char *module, const char *fmt, ...)
{
    if (level > logger.level)
        return;
    char line[LINE];
    struct timespec ts;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &ts);
    gmtime_r(&ts.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03ldZ %s  ",
                          ts.tv_nsec / 1000000, level_word(level));
    size_t text = n;
    n += (size_t)snprintf(line + n, sizeof line - n, "%s ", module);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    n = m < 0 ? n : VIVO_MIN(n + (size_t)m, sizeof line - 2);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    line[n] = '\n';
    line[n + 1] = '\0';

    pthread_mutex_lock(&logger.mutex);
    keep_locked(line, n + 1);
    pthread_mutex_unlock(&logger.mutex);
    if (logger.to == VIVO_LOG_TO_STDERR)
        fwrite(line, 1, n + 1, stderr);
    else if (logger.to == VIVO_LOG_TO_SYSLOG)
        syslog(syslog_priority(level), "%.*s", (int)(n - text), line + text);
}

int vivo_log_tail(struct vivo_buf *out)
{
    pthread_mutex_lock(&logger.mutex);
    size_t start = (logger.head + RING - logger.used) % RING;
    size_t skip = 0;
    /* A full ring begins in the middle of a line. */
    if (logger.used == RING)
        while (skip < RING && logger.ring[(start + skip++) % RING] != '\n')
            ;
    int rc = 0;
    for (size_t i = skip; i < logger.used && !rc;) {
        size_t at = (start + i) % RING;
        size_t len = VIVO_MIN(RING - at, logger.used - i);
        rc = vivo_buf_add(out, logger.ring + at, len);
        i += len;
    }
    pthread_mutex_unlock(&logger.mutex);
    return rc;
}
