# SPDX-License-Identifier: Apache-2.0
"""scripts/completion: what bash offers, asked as readline asks."""
import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest

import synthetic
from vivomount import BINARY, Mount

SERVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "servers",
                      "dicomweb_server.py")
COMPLETION = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts",
                          "completion")


def offers(line, mount=None):
    """Without readline's own parting of words at = and :; of mounts, none but this."""
    mounts = f"_vivofs_mounts() {{ echo {mount.path}; }}; " if mount else \
        "_vivofs_mounts() { :; }; "
    script = ('source "$1"; compopt() { :; }; ' + mounts + 'COMP_WORDBREAKS=" "; COMP_LINE="$2"; '
              'COMP_POINT=${#COMP_LINE}; _vivofs; printf "%s\\n" "${COMPREPLY[@]}"')
    env = {**os.environ, "VIVOFS_COMPLETION_SECONDS": "60"}
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
    ("vivofs query slicet", ["SliceThickness=", "SliceThickness<", "SliceThickness~"]),
    ("vivofs query 'Modality=CT and study(stud",
     ["Modality=CT and study(StudyRank", "Modality=CT and study(StudyDate"]),
    ("vivofs query 'Modality=CT ", ["Modality=CT and", "Modality=CT or"]),
    ("vivofs query -o deid=none modal", ["Modality", "ModalitiesInStudy"]),
    ("vivofs query fetchs", ["FetchState="]),
    ("vivofs query --", ["--explain", "--format"]),
    ("vivofs cache ", ["status", "verify", "trim", "clear"]),
    ("vivofs cache --", ["--cache", "--keep"]),
    ("vivofs pseudonym --", ["--key", "--kind", "--issuer"]),
    ("vivofs pseudonym --kind ", ["patient", "uid", "offset"]),
    ("vivofs fetch -", ["-j"]),
    ("vivofs ", ["cache", "fetch", "login", "doctor", "bugreport", "pseudonym"]),
])
def test_bash_offers(line, some):
    found = offers(line)
    assert set(some) <= set(found), found
    last = (line.split("'") if "'" in line else line.rsplit(" ", 1))[1].lower()
    assert all(w.lower().startswith(last) for w in found)


def test_values_are_offered_of_what_is_mounted(folder):
    with Mount({"loc": folder}) as m:
        assert m.files("loc")  # what is not listed yet is not offered
        assert {"Modality=CT", "Modality=MR"} <= set(offers("vivofs query Modality=", m))
        assert "study(Modality=CT" in offers("vivofs query 'study(Modality=c", m)
        assert m.path in offers("vivofs status ", m)


def test_values_are_never_asked_of_an_archive(folder):
    server = subprocess.Popen([sys.executable, SERVER, "--make", "1,1,1,1"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    url = server.stdout.readline().strip()
    with Mount({"pacs": "dicomweb+" + url}) as m:
        assert len(m.files()) == 1
        before = m.archive("pacs")["requests"]
        assert offers("vivofs query SliceThickness=", m) == [""]
        assert offers("vivofs query Modality=", m) != [""]
        assert m.archive("pacs")["requests"] == before
    server.stdin.close()
    server.wait(30)


SHELLS = {
    "bash": (["bash", "--norc", "-i"], "source {}/vivofs.bash"),
    "zsh": (["zsh", "-f", "-i"], "bindkey -e; fpath=({} $fpath); autoload -U compinit; "
                                 "compinit -u -D"),
}


def typed(shell, lines, mount=None):
    """The words that the shell makes of lines whose last one TAB completes."""
    argv, setup = SHELLS[shell]
    pid, fd = pty.fork()
    if pid == 0:
        path = os.path.dirname(os.path.abspath(BINARY)) + ":" + os.environ["PATH"]
        os.execvpe(argv[0], argv, {**os.environ, "PATH": path, "TERM": "dumb",
                                       "VIVOFS_COMPLETION_SECONDS": "60"})

    def send(text, until):
        seen = b""
        os.write(fd, text.encode())
        end = time.monotonic() + 30
        while not re.search(until, seen):
            assert time.monotonic() < end, seen
            if select.select([fd], [], [], 0.1)[0]:
                seen += os.read(fd, 65536)
        return re.findall(rb"<([^<]*)>", seen)

    mounts = f"; _vivofs_mounts() {{ echo {mount.path}; }}" if mount else ""
    send(setup.format(COMPLETION) + mounts + "; echo rea''dy\n", b"ready")
    words = [send(line + "\x01printf '<%s>' \x05; echo do''ne\n", b"done")[-1].decode()
             for line in lines]
    os.write(fd, b"exit\n")
    os.close(fd)
    os.waitpid(pid, 0)
    return words


@pytest.mark.parametrize("shell", SHELLS)
def test_what_stands_in_quotes_stays(shell):
    lines = ["vivofs query 'Modality=CT and SliceTh\t'",
             'vivofs query "Modality=CT and SliceTh\t"']
    assert typed(shell, lines) == 2 * ["Modality=CT and SliceThickness"]


@pytest.mark.parametrize("shell", SHELLS)
def test_values_with_blanks_are_quoted_for_the_expression(tmp_path, shell):
    for i, maker in enumerate(("GE MEDICAL SYSTEMS", "ACME")):
        ds = synthetic.instance("blanks", 0, 0, 0, i)
        ds.Manufacturer = maker
        ds.save_as(tmp_path / f"{i}.dcm", write_like_original=False)
    want = 'Manufacturer="GE MEDICAL SYSTEMS"'
    with Mount({"loc": str(tmp_path)}) as m:
        assert len(m.files()) == 2  # a catalog that still learns has no values to offer
        # bash closes the shell's quote after a value, zsh leaves that to who types.
        one, two = ("", "") if shell == "bash" else ("'", '"')
        assert typed(shell, ["vivofs query Manufacturer=G\t",
                             "vivofs query 'Rows=8 and Manufacturer=ge\t" + one,
                             'vivofs query "Manufacturer=G\t' + two], m) == [
            want, "Rows=8 and " + want, want.replace('"', "'")]


ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; fpath=($1 \$fpath); PATH=$2:\$PATH; autoload -U compinit; compinit -u -D"
zpty -w z "LISTMAX=0; print rea''dy"
zpty -r z seen '*ready*'
zpty -w -n z "$3"$'\t'
repeat 300 {
    sleep 0.05
    zpty -r -t z more && seen+=$more
    [[ $seen == *$4* ]] && break
}
print -r -- "$seen"
zpty -d z
"""


@pytest.mark.parametrize("line, some", [
    ("vivofs cache --keep 5 v", "verify"), ("vivofs query --for", "--format"),
    ("vivofs bugr", "bugreport"),
])
def test_zsh_completes(line, some):
    path = os.path.dirname(os.path.abspath(BINARY))
    run = subprocess.run(["zsh", "-f", "-c", ZSH, "-", COMPLETION, path, line, some],
                         capture_output=True, text=True, timeout=60)
    assert some in run.stdout.replace("\r", ""), run.stdout + run.stderr


def test_every_keyword_offered_can_be_asked(tmp_path):
    for letter in "csp":
        words = [k for k in offers("vivofs query " + letter) if k[0].isupper()]
        assert len(words) > 3
        run = subprocess.run([BINARY, "query", "-o", "deid=none,cache=memory",
                              " or ".join("has " + k for k in words), str(tmp_path)],
                             capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
