/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/package_xml.c -- XML of packages, over libxml2's streaming reader.
 *
 * Entities are never expanded and a document type ends the reading, so that no file can
 * grow while it is read. */
#include "drivers/package_map.h"

#include "vivofs/file.h"

#include <libxml/xmlreader.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define XML_MAX (16u << 20)
#define DEPTH_MAX 64
#define NAME_MAX_XML 128

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_xml(void)
{
    xmlInitParser();
}

const char *vivo_package_xml_attr(struct vivo_package_xml *x, const char *name,
                                  char *out, size_t cap)
{
    xmlChar *value =
        xmlTextReaderGetAttribute((xmlTextReaderPtr)x->reader, (const xmlChar *)name);
    bool fits = value && strlen((const char *)value) < cap;
    if (fits)
        snprintf(out, cap, "%s", (const char *)value);
    xmlFree(value);
    return fits ? out : NULL;
}

/* 1 = go on; 0 = the end; negative = it ends here. */
static int take_node(struct vivo_package_xml *x, xmlTextReaderPtr r,
                     char names[DEPTH_MAX][NAME_MAX_XML])
{
    int depth = xmlTextReaderDepth(r);
    int type = xmlTextReaderNodeType(r);
    const char *name = (const char *)xmlTextReaderConstLocalName(r);
    const char *value = (const char *)xmlTextReaderConstValue(r);
    int rc = 0;
    if (type == XML_READER_TYPE_DOCUMENT_TYPE ||
        type == XML_READER_TYPE_ENTITY_REFERENCE || depth < 0 || depth >= DEPTH_MAX)
        return -EBADMSG;
    if (type == XML_READER_TYPE_ELEMENT) {
        snprintf(names[depth], NAME_MAX_XML, "%s", name ? name : "");
        rc = x->open(x, depth, names[depth]);
    } else if (type == XML_READER_TYPE_TEXT && depth > 0 && value) {
        rc = x->text(x, depth - 1, names[depth - 1], value);
    }
    return rc < 0 ? rc : 1;
}

static int read_all(struct vivo_package_xml *x, xmlTextReaderPtr r)
{
    char(*names)[NAME_MAX_XML] = calloc(DEPTH_MAX, NAME_MAX_XML);
    int rc = names ? 1 : -ENOMEM;
    while (rc == 1) {
        rc = xmlTextReaderRead(r);
        if (rc == 1)
            rc = take_node(x, r, names);
        else if (rc < 0)
            rc = -EBADMSG;
    }
    free(names);
    return rc;
}

int vivo_package_xml_read(struct vivo_package_xml *x, int fd)
{
    VIVO_AUTO(vivo_buf_free_p) struct vivo_buf text = {0};
    struct stat st;
    pthread_once(&once, init_xml);
    if (fstat(fd, &st) || st.st_size <= 0 || st.st_size > XML_MAX)
        return -EBADMSG;
    size_t n = (size_t)st.st_size;
    vivo_buf_init(&text, XML_MAX);
    uint8_t *room = vivo_buf_reserve(&text, n);
    if (!room)
        return -ENOMEM;
    if (vivo_pread_full(fd, room, n, 0, NULL))
        return -EBADMSG;
    text.len = n;
    xmlTextReaderPtr r =
        xmlReaderForMemory((const char *)text.data, (int)n, NULL, NULL,
                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!r)
        return -ENOMEM;
    x->reader = r;
    int rc = read_all(x, r);
    x->reader = NULL;
    xmlFreeTextReader(r);
    return rc;
}
