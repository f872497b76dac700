/* SPDX-License-Identifier: Apache-2.0 */
/* src/tree/readme.c -- README.txt of a mount: what this is, how to ask, how to quote.
 */
#include "tree/internal.h"

static const char head[] =
    "vivofs: medical-image archives as a directory tree, read-only\n"
    "\n"
    "Layout\n"
    "  %s<collection>/<patient>/<study>/<series>/<instance>.dcm\n"
    "  Files are fetched when they are read, and de-identified on the way as the\n"
    "  profile of the archive says. Archives of this mount:\n";

static const char body[] =
    "\n"
    "Asking\n"
    "  A directory name below q/ is an expression over DICOM attributes:\n"
    "    ls %sq/'Modality=CT and SliceThickness<1.5'\n"
    "    ls %sq/'StudyDate=2019..2021 and not Manufacturer=GE*'\n"
    "    ls %sq/'Modality=CT and study(Modality=PT)'\n"
    "  Words: and or not, = != < <= > >= ~ (regular expression) like (* and ?),\n"
    "  in (A, B), between A and B, A..B, has X, missing X, any TEXT,\n"
    "  patient(...), study(...), series(...).\n"
    "  FetchState=remote, cached or pinned: what is here, as of the asking.\n"
    "  q/ itself lists only saved queries:\n"
    "    ln -s 'Modality=CT' %sq/ct      saves      rm %sq/ct      forgets\n"
    "  Facets: ls %sby/Modality          values that exist; by/Modality/CT/...\n"
    "  Of many numbers or ages ranges (by/PatientAge/060Y..069Y), of dates years;\n"
    "  exact values answer too. A name that ends in %%* holds the long values that\n"
    "  begin so.\n"
    "  q/ and by/ are there by name in archives and collections; they are not listed\n"
    "  (-o magic lists them), so that find and rsync see each file once.\n"
    "\n"
    "Quoting\n"
    "  Put the whole expression in single quotes for the shell. In a value, quote\n"
    "  what holds spaces or ( ) , = ! < > ~ & | ; with \"...\" and write \\\" inside.\n"
    "  A slash is written %%2F and a per cent sign %%25.\n"
    "\n"
    "In a query directory, by name\n"
    "  .query .count .explain .paths.txt .series.csv .refused.csv; .error tells what\n"
    "  is wrong with an expression, or why it could not be answered. There, and in\n"
    "  studies and series: .tags.json (DICOM JSON) and .tags.txt, what is known of "
    "the\n"
    "  attributes without reading a file.\n"
    "  .preview.png shows the middle of a series, or a sheet of several.\n"
    "  In patients and studies: .media/, the same files under the names of a CD, with\n"
    "  a DICOMDIR.\n"
    "\n"
    "About this mount\n"
    "  .vivofs/status.json, log, config, conformance.txt, audit.log;\n"
    "  echo ARCHIVE > .vivofs/refresh lists an archive again; echo PATH > .vivofs/pin\n"
    "  fetches what is below and keeps it, unpin and forget let it go.\n";

int render_readme(struct vivo_tree *t, struct vivo_buf *out)
{
    char prefix[130];
    int rc = vivo_buf_printf(out, head, t->cfg.flat ? "" : "<archive>/");

    walk_prefix(t, 0, prefix);
    for (size_t i = 0; i < t->cfg.nflows && !rc; i++)
        rc = vivo_buf_printf(out, "    %-24s profile %s\n", vivo_flow_name(t->flows[i]),
                             vivo_deid_profile(vivo_flow_deid(t->flows[i])));
    return rc ? rc
              : vivo_buf_printf(out, body, prefix, prefix, prefix, prefix, prefix,
                                prefix);
}
