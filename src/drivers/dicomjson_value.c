/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/dicomjson_value.c -- values of the DICOM JSON model (PS3.18 section
 * F.2.3 and table F.2.3-1) as PS3.5 section 6.2 encodes them. */
#include "dicomjson_value.h"

#include "vivofs/dcm.h"
#include "vivofs/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BULK_BYTES 16    /* model.h: what attrs form keeps of bulk values */
#define NUMBERS_MAX 2048 /* values of a binary VR; more are cut */
#define TEXT_PART_MAX (VIVO_ATTRS_VALUE_MAX + 8)

static const char text_vrs[] = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT ";
static const char number_vrs[] = "FD FL SL SS SV UL US UV ";
static const char byte_vrs[] = "OB OD OF OL OV OW UN ";

static bool is_one_of(const char *list, const char *vr)
{
    for (; *list; list += 3)
        if (list[0] == vr[0] && list[1] == vr[1])
            return true;
    return false;
}

void vivo_dicomjson_vr(const json_t *said, uint32_t tag, char vr[3])
{
    const char *s = json_string_value(said);
    if (!s || strlen(s) != 2 ||
        !(is_one_of(text_vrs, s) || is_one_of(number_vrs, s) ||
          is_one_of(byte_vrs, s) || strcmp(s, "AT") == 0 || strcmp(s, "SQ") == 0))
        s = vivo_dcm_vr_of(tag);
    memcpy(vr, s, 2);
    vr[2] = '\0';
}

/* ---- text ------------------------------------------------------------------- */

/* Only ST, LT and UT may hold these (PS3.5 section 6.2). */
static bool is_allowed_control(const char *vr, char c)
{
    bool many_lines =
        strcmp(vr, "ST") == 0 || strcmp(vr, "LT") == 0 || strcmp(vr, "UT") == 0;
    return many_lines && (c == '\t' || c == '\n' || c == '\f' || c == '\r');
}

/* NFC, without control characters, cut where attrs form would cut it anyway. */
static int add_text(const char *vr, const char *s, size_t len, struct vivo_buf *out)
{
    size_t from = out->len;
    len = VIVO_MIN(len, (size_t)TEXT_PART_MAX);
    if (out->max - out->len < 3 * len + 16)
        return 0; /* full: it will be cut before here */
    int rc = vivo_text_nfc(s, len, out);
    for (size_t i = from; i < out->len; i++) {
        unsigned char c = out->data[i];
        if ((c < 0x20 || c == 0x7F) && !is_allowed_control(vr, (char)c))
            out->data[i] = ' ';
    }
    return rc;
}

/* PS3.5 section 6.2: DS is at most 16 characters. */
static void print_decimal(double d, char out[32])
{
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(out, 32, "%.*g", precision, d);
        if (strtod(out, NULL) == d)
            break;
    }
    for (int precision = 16; strlen(out) > 16 && precision > 0; precision--)
        snprintf(out, 32, "%.*g", precision, d);
}

static int add_scalar_text(const char *vr, const json_t *v, struct vivo_buf *out)
{
    char number[32];
    if (json_is_string(v))
        return add_text(vr, json_string_value(v), json_string_length(v), out);
    if (json_is_integer(v))
        return vivo_buf_printf(out, "%lld", (long long)json_integer_value(v));
    if (!json_is_real(v))
        return 0;
    print_decimal(json_real_value(v), number);
    return vivo_buf_puts(out, number);
}

/* PS3.5 section 6.2.1: groups parted by '=', so no group may hold one. */
static int add_name_group(const json_t *v, struct vivo_buf *out)
{
    size_t from = out->len;
    int rc = json_is_string(v) ? add_scalar_text("PN", v, out) : 0;
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '=')
            out->data[i] = ' ';
    return rc;
}

static int add_name(const json_t *v, struct vivo_buf *out)
{
    static const char *const groups[] = {"Alphabetic", "Ideographic", "Phonetic"};
    if (!json_is_object(v))
        return add_scalar_text("PN", v, out);
    size_t last = 0;
    int rc = 0;
    for (size_t i = 0; i < VIVO_ARRAY_LEN(groups); i++)
        if (json_string_length(json_object_get(v, groups[i])) > 0)
            last = i;
    for (size_t i = 0; rc == 0 && i <= last; i++) {
        if (i > 0)
            rc = vivo_buf_add(out, "=", 1);
        if (rc == 0)
            rc = add_name_group(json_object_get(v, groups[i]), out);
    }
    return rc;
}

static int add_texts(const char *vr, const json_t *values, struct vivo_buf *out)
{
    bool name = strcmp(vr, "PN") == 0;
    int rc = 0;
    for (size_t i = 0; i < json_array_size(values); i++) {
        const json_t *v = json_array_get(values, i);
        if (out->len > VIVO_ATTRS_VALUE_MAX)
            return 0; /* what follows is cut */
        if (i > 0)
            rc = vivo_buf_add(out, "\\", 1);
        if (rc == 0)
            rc = name ? add_name(v, out) : add_scalar_text(vr, v, out);
        if (rc)
            return rc;
    }
    /* Many empty values are as good as none. */
    while (out->len > 0 && out->data[out->len - 1] == '\\')
        out->len--;
    return 0;
}

/* ---- numbers ---------------------------------------------------------------- */

/* A number, or a string that is one (PS3.18 allows strings for SV, UV, IS, DS). */
static bool read_number(const json_t *v, double *real, long long *integer, bool *whole)
{
    char *end;
    *whole = true;
    if (json_is_integer(v)) {
        *integer = json_integer_value(v);
        *real = (double)*integer;
        return true;
    }
    if (json_is_string(v) && json_string_length(v) > 0) {
        const char *s = json_string_value(v);
        errno = 0;
        *integer = strtoll(s, &end, 10);
        *real = (double)*integer;
        if (*end == '\0' && errno == 0)
            return true;
        *real = strtod(s, &end);
        *whole = false;
        return *end == '\0';
    }
    if (!json_is_real(v))
        return false;
    *real = json_real_value(v);
    *integer = *real > -9e15 && *real < 9e15 ? (long long)*real : 0;
    *whole = (double)*integer == *real;
    return true;
}

struct range {
    char vr[3];
    uint8_t bytes;
    long long min, max;
};
static const struct range ranges[] = {
    {"SL", 4, INT32_MIN, INT32_MAX}, {"SS", 2, INT16_MIN, INT16_MAX},
    {"SV", 8, INT64_MIN, INT64_MAX}, {"UL", 4, 0, UINT32_MAX},
    {"US", 2, 0, UINT16_MAX},        {"UV", 8, 0, INT64_MAX},
};

static int add_number(const char *vr, const json_t *v, struct vivo_buf *out)
{
    double real;
    long long integer = 0;
    bool whole;
    uint8_t raw[8];
    if (!read_number(v, &real, &integer, &whole))
        return 0;
    if (strcmp(vr, "FD") == 0) {
        memcpy(raw, &real, 8);
        return vivo_buf_add(out, raw, 8);
    }
    if (strcmp(vr, "FL") == 0) {
        float f = (float)real;
        memcpy(raw, &f, 4);
        return vivo_buf_add(out, raw, 4);
    }
    for (size_t i = 0; i < VIVO_ARRAY_LEN(ranges); i++) {
        if (strcmp(ranges[i].vr, vr) != 0)
            continue;
        if (!whole || integer < ranges[i].min || integer > ranges[i].max)
            return 0;
        vivo_put_le32(raw, (uint32_t)integer);
        vivo_put_le32(raw + 4, (uint32_t)((uint64_t)integer >> 32));
        return vivo_buf_add(out, raw, ranges[i].bytes);
    }
    return 0;
}

static int add_numbers(const char *vr, const json_t *values, struct vivo_buf *out)
{
    size_t n = VIVO_MIN(json_array_size(values), (size_t)NUMBERS_MAX);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = add_number(vr, json_array_get(values, i), out);
    return rc;
}

/* AT: "GGGGEEEE" (PS3.18 table F.2.3-1) as two numbers of 16 bits. */
static int add_tags(const json_t *values, struct vivo_buf *out)
{
    size_t n = VIVO_MIN(json_array_size(values), (size_t)NUMBERS_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(values, i));
        uint8_t raw[4];
        char *end;
        if (!s || strlen(s) != 8 || strspn(s, "0123456789abcdefABCDEF") != 8)
            continue;
        uint32_t tag = (uint32_t)strtoull(s, &end, 16);
        vivo_put_le16(raw, (uint16_t)(tag >> 16));
        vivo_put_le16(raw + 2, (uint16_t)tag);
        if (vivo_buf_add(out, raw, sizeof raw))
            return -ENOMEM;
    }
    return 0;
}

/* ---- bytes ------------------------------------------------------------------ */

/* Pixels, waveforms, overlays, curves, documents: only their beginning is kept. */
static bool is_bulk(uint32_t tag)
{
    uint32_t group = tag >> 16;
    return group == 0x7FE0 || tag == 0x54001010 || tag == 0x00420011 ||
           (group & 0xFF00) == 0x6000 || (group & 0xFF00) == 0x5000;
}

static int base64_value(char c)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(letters, c) : NULL;
    return at ? (int)(at - letters) : -1;
}

/* RFC 4648 section 4, up to `max` bytes; what is not base64 ends it. */
static int add_base64(const char *s, size_t max, struct vivo_buf *out)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t added = 0;
    for (; added < max; s++) {
        int v = base64_value(*s);
        if (v < 0)
            break;
        bits = (bits << 6 | (uint32_t)v) & 0xFFFFFF;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        uint8_t byte = (uint8_t)(bits >> have);
        if (vivo_buf_add(out, &byte, 1))
            return -ENOMEM;
        added++;
    }
    return 0;
}

int vivo_dicomjson_value(uint32_t tag, const char *vr, const json_t *attribute,
                         struct vivo_buf *out)
{
    const json_t *values = json_object_get(attribute, "Value");
    if (is_one_of(byte_vrs, vr)) {
        const char *s = json_string_value(json_object_get(attribute, "InlineBinary"));
        return s ? add_base64(s, is_bulk(tag) ? BULK_BYTES : VIVO_ATTRS_VALUE_MAX, out)
                 : 0;
    }
    if (strcmp(vr, "AT") == 0)
        return add_tags(values, out);
    if (is_one_of(number_vrs, vr))
        return add_numbers(vr, values, out);
    return add_texts(vr, values, out);
}

int vivo_dicomjson_put_text(struct vivo_buf *out, uint32_t tag, const char *text)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf value = {0};
    if (!text[0])
        return 0;
    json_t *attribute = json_pack("{s:[s]}", "Value", text);
    if (!attribute)
        return 0; /* not UTF-8 */
    vivo_buf_init(&value, 4 * VIVO_ATTRS_VALUE_MAX);
    int rc = vivo_dicomjson_value(tag, vivo_dcm_vr_of(tag), attribute, &value);
    json_decref(attribute);
    if (rc || !value.len)
        return rc;
    return vivo_attrs_put(out, tag, vivo_dcm_vr_of(tag), value.data, value.len);
}
