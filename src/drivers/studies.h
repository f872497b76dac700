/* SPDX-License-Identifier: Apache-2.0 */
/* src/drivers/studies.h -- all studies of a server that cuts its answers, by asking for
 * parts of the calendar. */
#ifndef VIVOFS_DRIVERS_STUDIES_H
#define VIVOFS_DRIVERS_STUDIES_H

#include "vivofs/driver.h"

typedef int vivo_study_fn(void *ctx, struct vivo_attrs row, struct vivo_err *err);

struct vivo_studies_answer {
    size_t rows;
    unsigned status; /* 0 = the server says that it is whole */
};

struct vivo_studies {
    /* Asks once; date and time are ranges as in C-FIND, "" = all. Each row goes to fn.
     * 0 also when the server refused or cut it, with out->status. */
    int (*ask)(void *asker, const char *date, const char *time, vivo_study_fn *fn,
               void *ctx, struct vivo_studies_answer *out, struct vivo_op *op);
    /* The sentence for such a status. */
    int (*fail)(void *asker, unsigned status, struct vivo_err *err);
    void *asker;
    const char *module;    /* for the log */
    unsigned *cap;         /* the longest answer that the server gives, 0 = not known;
                              NULL = it always says when there is more */
    const char *from, *to; /* StudyDate, YYYYMMDD, both included; NULL = open */
    vivo_study_fn *fn;     /* each study once */
    void *ctx;
};
int vivo_studies_all(const struct vivo_studies *s, struct vivo_op *op);

#endif
