/* SPDX-License-Identifier: Apache-2.0 */
/* src/deid/words.c -- words of radiology that happen to hold somebody's name.
 *
 * A name is looked for inside words too, because people write DOEJANE. Whoever is
 * called Mary must not lose every primary tumour for that: in these words, when they
 * stand alone, a part of them is no name. A word that is a name as a whole still goes.
 */
#include "options.h"

static const char *const words[] = {
    "abdomen",        "abdominal",   "adrenal",     "adrenals",     "angina",
    "angiography",    "ankle",       "anterior",    "aorta",        "aortic",
    "appendix",       "arterial",    "artery",      "arthrography", "axial",
    "axilla",         "axillary",    "balanced",    "baseline",     "bilateral",
    "biliary",        "biopsy",      "bladder",     "calcaneus",    "calcification",
    "capillary",      "carcinoma",   "cardiac",     "carina",       "carotid",
    "cerebellar",     "cerebellum",  "cerebral",    "cervical",     "chest",
    "clavicle",       "clinical",    "coccyx",      "contrast",     "corona",
    "coronal",        "coronary",    "cranial",     "cranium",      "delayed",
    "diagnostic",     "diffusion",   "dorsal",      "dynamic",      "elbow",
    "emergency",      "endometrial", "enhanced",    "evaluation",   "expiration",
    "external",       "extremity",   "femoral",     "fibula",       "fluoroscopy",
    "follow",         "followup",    "forearm",     "fracture",     "frontal",
    "generic",        "gradient",    "haemorrhage", "hemorrhage",   "hepatic",
    "humerus",        "inferior",    "inspiration", "internal",     "intestinal",
    "inversion",      "lateral",     "lesion",      "localizer",    "longitudinal",
    "lumbar",         "lymphoma",    "magnetic",    "mammary",      "mammography",
    "mandible",       "marginal",    "maternal",    "maxilla",      "maxillary",
    "medial",         "mediastinal", "mediastinum", "metastases",   "metastasis",
    "morphology",     "multiplanar", "myocardial",  "nominal",      "oblique",
    "occipital",      "orbital",     "ordinary",    "original",     "ovarian",
    "pancreas",       "pancreatic",  "parietal",    "patella",      "patellar",
    "patient",        "pelvic",      "pelvis",      "perfusion",    "pituitary",
    "planning",       "pneumonia",   "portal",      "posterior",    "preliminary",
    "primary",        "protocol",    "proximal",    "pulmonary",    "radiography",
    "reconstruction", "recovery",    "renal",       "resonance",    "retina",
    "retinal",        "routine",     "sacral",      "sacrum",       "sagittal",
    "sarcoma",        "scapula",     "screening",   "scrotal",      "secondary",
    "series",         "shoulder",    "simulation",  "sinus",        "sinuses",
    "spinal",         "standard",    "sternal",     "sternum",      "summary",
    "superior",       "supine",      "survey",      "temporal",     "terminal",
    "thoracic",       "thorax",      "thyroid",     "tomography",   "transverse",
    "trauma",         "treatment",   "tumor",       "tumour",       "ultrasound",
    "unenhanced",     "urinary",     "uterine",     "vaginal",      "vascular",
    "venous",         "ventral",     "ventricle",   "vertebra",     "vertebral",
    "weighted",       "without",
};

bool vivo_word_is_plain(const struct vivo_letters *t, const struct vivo_word *w)
{
    return vivo_letters_among(t, w->from, w->to, words, VIVO_ARRAY_LEN(words));
}
