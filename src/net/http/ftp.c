/* SPDX-License-Identifier: Apache-2.0 */
/* src/net/http/ftp.c -- what is different when the exchange is one of FTP (RFC 959, RFC
 * 3659): answers become those that HTTP would have given, so that everything above
 * knows one vocabulary. */
#include "transfer.h"

#include <curl/curl.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void vivo_transfer_ftp_setup(const struct transfer *t, const struct exchange *x)
{
    CURL *e = t->easy;
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "ftp,ftps");
    /* One CWD and bare names: arguments with spaces are quoted by nobody. */
    curl_easy_setopt(e, CURLOPT_FTP_FILEMETHOD, (long)CURLFTPMETHOD_SINGLECWD);
    if (x->rq->method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, x->rq->method);
    curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
}

/* A control connection is used again only behind a transfer that began and ended, or
 * was refused: one that is out of step (a server that answers twice) would fail all
 * that comes after. */
static void watch_end(struct transfer *t, const char *line)
{
    if (line[0] == '1')
        t->begun = true;
    else if (line[0] >= '4' || (line[0] == '2' && t->begun))
        curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 0L);
}

void vivo_transfer_ftp_line(struct transfer *t, const char *line, size_t len)
{
    char text[256];
    int64_t n = 0;
    size_t i = 4;
    snprintf(text, sizeof text, "%.*s", (int)VIVO_MIN(len, sizeof text - 1), line);
    watch_end(t, text);
    if (text[0] == '5')
        t->denied = strcasestr(text, "permission") || strcasestr(text, "denied");
    /* "213 1234" answers SIZE. A date (MDTM) is never asked for. */
    if (strncmp(text, "213 ", 4) != 0 || !isdigit((unsigned char)text[4]))
        return;
    for (; isdigit((unsigned char)text[i]) && n < INT64_MAX / 10 - 9; i++)
        n = n * 10 + (text[i] - '0');
    t->reply->total = n;
    if (t->rq->range_len == 0)
        t->reply->content_length = n;
}

int vivo_transfer_ftp_status(const struct transfer *t, long code)
{
    if (code == 0)
        return 0;
    if (code < 400)
        return t->rq->range_len > 0 ? 206 : 200;
    if (code == 530 || code == 532 || code == 331)
        return 401;
    if (code == 550 || code == 553 || code == 450)
        return t->denied ? 403 : 404;
    return code < 500 ? 503 : 501;
}
