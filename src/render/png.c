/* SPDX-License-Identifier: Apache-2.0 */
/* src/render/png.c -- pictures beside each other, and as PNG. */
#include "picture.h"

#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

int vivo_render_no_picture(uint32_t side, struct vivo_picture *out)
{
    int rc = vivo_picture_new(side, side, out);
    for (uint32_t y = 0; !rc && y < side; y++)
        for (uint32_t x = 0; x < side; x++) {
            bool line = x == y || x + y + 1 == side;
            memset(out->rgb + 3 * ((size_t)y * side + x), line ? 160 : 64, 3);
        }
    return rc;
}

static void put(const struct vivo_picture *sheet, const struct vivo_picture *p,
                uint32_t x0, uint32_t y0)
{
    for (uint32_t y = 0; y < p->height; y++)
        memcpy(sheet->rgb + 3 * ((size_t)(y0 + y) * sheet->width + x0),
               p->rgb + 3 * (size_t)y * p->width, 3 * (size_t)p->width);
}

int vivo_render_sheet(const struct vivo_picture *pictures, size_t n, uint32_t side,
                      struct vivo_picture *out)
{
    uint32_t across = 1, down;
    while ((size_t)across * across < n)
        across++;
    down = (uint32_t)((n + across - 1) / across);
    int rc = vivo_picture_new(across * side, down * side, out);
    for (uint32_t i = 0; !rc && i < n; i++)
        put(out, &pictures[i], i % across * side + (side - pictures[i].width) / 2,
            i / across * side + (side - pictures[i].height) / 2);
    return rc;
}

int vivo_render_png(const struct vivo_picture *p, struct vivo_buf *out,
                    struct vivo_err *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = p->width,
                       .height = p->height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
    VIVO_AUTO(vivo_free_p) void *bytes = malloc(size);
    int ok =
        bytes && png_image_write_to_memory(&image, bytes, &size, 0, p->rgb, 0, NULL);
    png_image_free(&image);
    if (!ok || vivo_buf_add(out, bytes, size))
        return vivo_fail(err, ENOMEM, "no memory for a picture");
    return 0;
}
