# SPDX-License-Identifier: Apache-2.0
"""No string of four or more characters of a value that the tables remove or replace
stands anywhere in the output: bytes, what a reader decodes, names, sidecars.

Random objects (tests/lib/random_objects.py), every profile; VIVOFS_SEED and
VIVOFS_OBJECTS choose others."""
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import deidrun  # noqa: E402
import random_objects  # noqa: E402
from vivomount import Mount  # noqa: E402

SEED = os.environ.get("VIVOFS_SEED", "seed")
COUNT = int(os.environ.get("VIVOFS_OBJECTS", "5"))


def options_of(profile):
    if profile in random_objects.NAMED:
        return random_objects.NAMED[profile]
    return set(profile.split("+")[1:])


@pytest.fixture(scope="module")
def objects():
    return random_objects.make(SEED, COUNT)


def sixes(text):
    return {text[i:i + 6] for i in range(len(text) - 5)}


def leaks(seen, plants, options):
    """The plants of which a string, or six letters in a row of one, stands in seen though
    it must not. Numbers count whole: digits come about by chance."""
    numbers, letters = set(), set()
    for n in re.findall(rb"[0-9]+(?:\.[0-9]+)*", seen):
        numbers.update([n, n[:8]], n.split(b"."))
    for run in re.findall(rb"[A-Z]{6,}", seen):
        letters |= sixes(run)
    bad = []
    for p in plants:
        for s in () if p.may_be_shown(options) else map(str.encode, p.strings):
            if s in numbers if s[:1].isdigit() else s in seen or sixes(s) & letters:
                bad.append(("%08X" % p.tag, p.vr, s))
    return bad


@pytest.mark.parametrize("profile", random_objects.PROFILES)
def test_no_string_of_a_removed_value_is_left(profile, objects, tmp_path):
    batch = deidrun.Batch(tmp_path, profile)
    for n, (data, _) in enumerate(objects):
        batch.add(str(n), data)
    shown, options = batch.run(), options_of(profile)
    assert batch.code == 0, batch.stderr
    kept = 0
    for n, (_, plants) in enumerate(objects):
        out = shown[str(n)]
        seen = out.raw + b"\n" + deidrun.decoded(out.ds) + b"\n" + out.name.encode()
        assert leaks(seen, plants, options) == []
        kept += sum(p.may_be_shown(options) and any(s.encode() in seen for s in p.strings)
                    for p in plants)
    # Neither does it pass because nothing is left at all.
    assert kept > 20 * COUNT


def test_the_search_finds_what_is_left(objects):
    """In the sources nearly all that basic removes; under the search's own rule."""
    for data, plants in objects:
        gone = [p for p in plants if not p.may_be_shown(set())]
        found = {(tag, s) for tag, _, s in leaks(data, plants, set())}
        assert len({f[0] for f in found}) > 0.9 * len({p.tag for p in gone}) > 80


@pytest.mark.parametrize("profile", ["basic", "research"])
def test_names_and_sidecars_show_no_removed_value(profile, objects, tmp_path):
    (tmp_path / "in").mkdir()
    for n, (data, _) in enumerate(objects):
        (tmp_path / "in" / ("%03d.dcm" % n)).write_bytes(data)
    seen = []
    with Mount({"loc": str(tmp_path / "in")}, "xattr,sidecars,key=" + deidrun.keyfile(tmp_path),
               deid=profile) as m:
        for where, dirs, names in os.walk(m / "loc"):
            seen += dirs + names
            for n in names:
                if n.endswith((".json", ".csv", ".txt")):
                    with open(os.path.join(where, n), errors="replace") as f:
                        seen.append(f.read())
                else:
                    path = os.path.join(where, n)
                    seen += [str(os.getxattr(path, a)) for a in os.listxattr(path)]
    text = "\n".join(seen).encode()
    assert len(text) > 1000 * COUNT
    # Of all objects together letters come about by chance, and so do moved dates.
    gone = {s for _, plants in objects for p in plants for s in p.strings
            if not p.may_be_shown(options_of(profile)) and not (s.isdigit() and len(s) == 8)}
    assert [s for s in gone if re.search(rb"(?<![0-9])%s(?![0-9])" % re.escape(s.encode())
                                         if s[0].isdigit() else s.encode(), text)] == []
