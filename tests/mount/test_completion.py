# SPDX-License-Identifier: Apache-2.0
"""scripts/completion: what bash offers, asked as readline asks."""
import os
import subprocess

import pytest

from vivomount import BINARY

COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts",
                          "completion")


def offers(line):
    """Without readline's own parting of words at = and :."""
    script = ('source "$1"; compopt() { :; }; COMP_WORDBREAKS=" "; COMP_LINE="$2"; '
              'COMP_POINT=${#COMP_LINE}; _vivofs; printf "%s\\n" "${COMPREPLY[@]}"')
    env = dict(os.environ)
    env["PATH"] = os.path.dirname(os.path.abspath(BINARY)) + ":" + env["PATH"]
    run = subprocess.run(["bash", "-c", script, "-", COMPLETION + "/vivofs.bash", line],
                         env=env, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return run.stdout.split("\n")[:-1]


@pytest.mark.parametrize("line, some", [
    ("vivofs ", ["mount", "query", "umount", "deid", "status"]),
    ("vivofs qu", ["query"]),
    ("vivofs mount -o bur", ["burned_in="]),
    ("vivofs mount -o magic,bur", ["magic,burned_in="]),
    ("vivofs mount -o magic,burned_in=st", ["magic,burned_in=strict"]),
    ("vivofs query --format c", ["csv", "count"]),
    ("vivofs archives --format ", ["table", "csv", "json"]),
    ("vivofs archives n", ["nlst", "nitrc-ir", "nirl"]),
    ("vivofs mount t", ["tcia"]),
    ("vivofs mount -o names=tcia mine=nl", ["mine=nlst"]),
    ("vivofs mount -o names=", ["names=own", "names=idc"]),
    ("vivofs query Modality=CT nls", ["nlst"]),
    ("vivofs query slicet", ["SliceThickness"]),
    ("vivofs query 'Modality=CT and study(stud", ["study(StudyRank", "study(StudyDate"]),
    ("vivofs query -o deid=none modal", ["Modality", "ModalitiesInStudy"]),
])
def test_bash_offers(line, some):
    found = offers(line)
    assert set(some) <= set(found), found
    last = line.rsplit(" ", 1)[1].strip("'").lower()
    assert all(w.lower().startswith(last) for w in found)


def test_every_keyword_offered_can_be_asked(tmp_path):
    for keyword in offers("vivofs query s") + offers("vivofs query p"):
        if keyword[0].isupper():
            run = subprocess.run([BINARY, "query", "-o", "deid=none,cache=memory",
                                  "has " + keyword, str(tmp_path)], capture_output=True,
                                 text=True)
            assert run.returncode == 0, run.stderr
