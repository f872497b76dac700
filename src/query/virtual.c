/* SPDX-License-Identifier: Apache-2.0 */
/* src/query/virtual.c -- the virtual attributes: names, what they are compared as, and
 * what would give them away if the profile hides it (DESIGN A5). */
#include "internal.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define PLANE_MIN                                                                      \
    0.9 /* of the normal's length: its largest component; below it, oblique */

/* UT: free text that a backslash does not part. */
static const struct vivo_query_virtual_row rows[] = {
    {VIVO_VIRTUAL_ARCHIVE, "Archive", "UT", 0, 0},
    {VIVO_VIRTUAL_COLLECTION, "Collection", "LO", 0, 0},
    {VIVO_VIRTUAL_INSTANCE_COUNT, "InstanceCount", "IS", 0, 0},
    {VIVO_VIRTUAL_FRAME_COUNT, "FrameCount", "IS", 0, VIVO_TAG_NumberOfFrames},
    {VIVO_VIRTUAL_SERIES_BYTES, "SeriesBytes", "IS", 0, 0},
    {VIVO_VIRTUAL_FETCH_STATE, "FetchState", "CS", 0, 0},
    {VIVO_VIRTUAL_LICENSE, "License", "LO", 0, 0},
    {VIVO_VIRTUAL_PLANE, "Plane", "CS", 0, VIVO_QUERY_ORIENTATION},
    {VIVO_VIRTUAL_STUDY_RANK, "StudyRank", "IS", 0, VIVO_TAG_StudyDate},
    {VIVO_VIRTUAL_STUDY_DAY, "StudyDay", "IS", 0, VIVO_TAG_StudyDate},
    {VIVO_VIRTUAL_REFERS_TO, "RefersTo", "UI", 0, VIVO_QUERY_REFERENCED_SOP},
    {VIVO_VIRTUAL_MODALITIES_IN_STUDY, "ModalitiesInStudy", "CS", 0x00080061, 0},
    {VIVO_VIRTUAL_PATIENT_STUDIES, "NumberOfPatientRelatedStudies", "IS", 0x00201200,
     0},
    {VIVO_VIRTUAL_STUDY_SERIES, "NumberOfStudyRelatedSeries", "IS", 0x00201206, 0},
    {VIVO_VIRTUAL_STUDY_INSTANCES, "NumberOfStudyRelatedInstances", "IS", 0x00201208,
     0},
    {VIVO_VIRTUAL_SERIES_INSTANCES, "NumberOfSeriesRelatedInstances", "IS", 0x00201209,
     0},
};

const struct vivo_query_virtual_row *vivo_query_virtual_named(const char *s, size_t len)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        if (strlen(rows[i].keyword) == len && !strncasecmp(rows[i].keyword, s, len))
            return &rows[i];
    return NULL;
}

const struct vivo_query_virtual_row *vivo_query_virtual_tagged(uint32_t tag)
{
    for (size_t i = 0; i < VIVO_ARRAY_LEN(rows); i++)
        if (rows[i].tag && rows[i].tag == tag)
            return &rows[i];
    return NULL;
}

bool vivo_query_counts_back(const struct vivo_query_node *n)
{
    return n->path.computed == VIVO_VIRTUAL_STUDY_RANK && n->kind == VIVO_QUERY_CMP &&
           (n->cmp == VIVO_CMP_EQ || n->cmp == VIVO_CMP_NE) && n->values[0].lo < 0;
}

/* The normal is the product of row and column direction (PS3.3 C.7.6.2.1.1); the
 * patient's axes are sagittal, coronal, axial. */
const char *vivo_query_plane_of(const double c[6])
{
    static const char *const names[] = {"sagittal", "coronal", "axial"};
    double normal[3] = {c[1] * c[5] - c[2] * c[4], c[2] * c[3] - c[0] * c[5],
                        c[0] * c[4] - c[1] * c[3]};
    double squared =
        normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2];
    double least = PLANE_MIN * PLANE_MIN * squared;
    if (!isfinite(squared) || !(least >= 1e-12))
        return NULL;
    for (size_t i = 0; i < 3; i++)
        if (normal[i] * normal[i] >= least)
            return names[i];
    return "oblique";
}
