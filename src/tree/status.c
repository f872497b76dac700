/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/status.c -- .vivofs/status.json (DESIGN A4): valid JSON at all times, from
 * numbers that are kept anyway; asks nothing of any archive. */
#include "tree/internal.h"

#include <string.h>
#include <time.h>

#define STATUS_STEP 4096 /* bytes */

typedef unsigned long long ull;

static const char *health_name(enum vivo_health h)
{
    switch (h) {
    case VIVO_HEALTH_OK:
        return "ok";
    case VIVO_HEALTH_SCANNING:
        return "scanning";
    case VIVO_HEALTH_FAILING:
        return "failing";
    case VIVO_HEALTH_NONE:
        break;
    }
    return "unknown";
}

/* "key": "text", or null. */
static int put_string(struct vivo_buf *b, const char *key, const char *s)
{
    int rc = vivo_buf_printf(b, "\"%s\": ", key);

    if (rc)
        return rc;
    return s && *s ? vivo_buf_json(b, s, strlen(s)) : vivo_buf_puts(b, "null");
}

static int put_time(struct vivo_buf *b, const char *key, int64_t seconds)
{
    time_t when = (time_t)seconds;
    struct tm tm;
    char text[32];

    if (!seconds || !gmtime_r(&when, &tm))
        return put_string(b, key, NULL);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return put_string(b, key, text);
}

static int put_flights(struct vivo_tree *t, size_t i, struct vivo_buf *b)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf flights = {0};

    vivo_buf_init(&flights, 1u << 20);
    /* Too many to tell: the number of them still stands above. */
    if (vivo_flow_flights_json(t->flows[i], &flights) || !flights.len)
        return vivo_buf_puts(b, "\"in_flight\": []");
    return vivo_buf_printf(b, "\"in_flight\": [%s]", (const char *)flights.data);
}

static int put_archive(struct vivo_tree *t, size_t i, struct vivo_buf *b)
{
    const char *profile = vivo_deid_profile(vivo_flow_deid(t->flows[i]));
    struct vivo_flow_status s = {0};
    int rc;

    vivo_flow_status(t->flows[i], &s);
    rc = vivo_buf_puts(b, "\n    {") ||
         put_string(b, "name", vivo_flow_name(t->flows[i])) || vivo_buf_puts(b, ", ") ||
         put_string(b, "health", health_name(s.health)) || vivo_buf_puts(b, ", ") ||
         put_string(b, "profile", profile) || vivo_buf_puts(b, ",\n     ") ||
         put_string(b, "last_error", s.last_error) || vivo_buf_puts(b, ", ") ||
         put_time(b, "last_error_time", s.last_error_time) ||
         vivo_buf_puts(b, ",\n     ") || put_time(b, "last_check", s.last_check);
    if (!rc)
        rc = vivo_buf_printf(b,
                             ", \"progress\": {\"seen\": %llu, \"read\": %llu},\n"
                             "     \"requests\": %llu, \"bytes\": %llu, "
                             "\"cache_hits\": %llu, \"fetches\": %llu, "
                             "\"flights\": %llu,\n     ",
                             (ull)s.scan_seen, (ull)s.scan_read, (ull)s.requests,
                             (ull)s.bytes, (ull)s.store_hits, (ull)s.fetches,
                             (ull)s.flights);
    if (!rc)
        rc = vivo_buf_printf(
            b,
            "\"collections\": %llu, \"patients\": %llu, \"studies\": %llu, "
            "\"series\": %llu, \"instances\": %llu,\n     \"instance_bytes\": %llu, "
            "\"refused\": %llu, \"at_risk\": %llu, \"hidden\": %llu, "
            "\"extras\": %llu,\n     ",
            (ull)s.counts.collections, (ull)s.counts.patients, (ull)s.counts.studies,
            (ull)s.counts.series, (ull)s.counts.instances, (ull)s.counts.bytes,
            (ull)s.counts.refused, (ull)s.counts.at_risk, (ull)s.counts.others,
            (ull)s.counts.extras);
    if (!rc)
        rc = put_flights(t, i, b);
    return rc ? rc : vivo_buf_puts(b, "}");
}

static int put_counters(struct vivo_tree *t, struct vivo_buf *b)
{
    const struct vivo_counters *c = t->cfg.counters;
    int rc = vivo_buf_printf(
        b,
        "  \"counters\": {\"lookup\": %llu, \"getattr\": %llu, \"open\": %llu, "
        "\"read\": %llu, \"readdir\": %llu, \"readdirplus\": %llu, "
        "\"getxattr\": %llu, \"bytes_read\": %llu, \"archives\": {",
        (ull)(c ? c->lookup : 0), (ull)(c ? c->getattr : 0), (ull)(c ? c->open : 0),
        (ull)(c ? c->read : 0), (ull)(c ? c->readdir : 0),
        (ull)(c ? c->readdirplus : 0), (ull)(c ? c->getxattr : 0),
        (ull)(c ? c->bytes_read : 0));

    for (size_t i = 0; i < t->cfg.nflows && !rc; i++) {
        const char *name = vivo_flow_name(t->flows[i]);
        struct vivo_flow_status s = {0};

        vivo_flow_status(t->flows[i], &s);
        rc = vivo_buf_puts(b, i ? ", " : "") || vivo_buf_json(b, name, strlen(name)) ||
             vivo_buf_printf(b, ": {\"requests\": %llu, \"bytes\": %llu}",
                             (ull)s.requests, (ull)s.bytes);
    }
    return rc ? rc : vivo_buf_puts(b, "}},\n");
}

static int put_store(struct vivo_tree *t, struct vivo_buf *b)
{
    struct vivo_store_stats s = {0};

    if (!t->cfg.store)
        return vivo_buf_puts(b, "  \"cache\": null\n}\n");
    vivo_store_stats(t->cfg.store, &s);
    return vivo_buf_printf(b,
                           "  \"cache\": {\"bytes\": %llu, \"entries\": %llu, "
                           "\"hits\": %llu, \"misses\": %llu, \"evicted\": %llu, "
                           "\"quarantined\": %llu}\n}\n",
                           (ull)s.bytes, (ull)s.entries, (ull)s.hits, (ull)s.misses,
                           (ull)s.evicted, (ull)s.quarantined);
}

/* White space after the last brace: counters grow a digit now and then, and the file's
 * size should not, or two listings of the mount would differ. */
static int pad(struct vivo_buf *out)
{
    size_t room = STATUS_STEP - (out->len + 1) % STATUS_STEP;

    return vivo_buf_printf(out, "%*s\n", (int)room, "");
}

int render_status(struct vivo_tree *t, struct vivo_buf *out)
{
    int rc = vivo_buf_puts(out, "{\n  ") ||
             put_string(out, "version", VIVOFS_VERSION) || vivo_buf_puts(out, ", ") ||
             put_string(out, "profile", t->cfg.profile) || vivo_buf_puts(out, ", ") ||
             put_string(out, "key_id", t->cfg.key_id) || vivo_buf_puts(out, ",\n  ") ||
             vivo_buf_printf(out, "\"pid\": %d, ", (int)getpid()) ||
             put_time(out, "started", t->started) || vivo_buf_puts(out, ", ") ||
             put_time(out, "time", (int64_t)time(NULL)) ||
             vivo_buf_puts(out, ",\n  \"archives\": [");

    for (size_t i = 0; i < t->cfg.nflows && !rc; i++) {
        rc = i ? vivo_buf_puts(out, ",") : 0;
        if (!rc)
            rc = put_archive(t, i, out);
    }
    if (!rc)
        rc = vivo_buf_puts(out, "\n  ],\n");
    if (!rc)
        rc = put_counters(t, out);
    if (!rc)
        rc = put_store(t, out);
    return rc ? rc : pad(out);
}
