# SPDX-License-Identifier: Apache-2.0
"""An answer key of MIDI-B's ten kinds of check over 208 objects of 13 kinds: 100 %."""
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import answer_key  # noqa: E402
import deidrun  # noqa: E402

PROFILE = "research+clean-pixel-data"


@pytest.fixture(scope="module")
def objects():
    return answer_key.make()


def scored(objects, shown):
    scorer = answer_key.Scorer()
    for name, ds, checks in objects:
        scorer.score(name, ds, checks, shown[name])
    return scorer


def test_every_check_of_the_answer_key_is_right(objects, tmp_path):
    rules = tmp_path / "pixels.script"
    rules.write_text(answer_key.SCRIPT)
    batch = deidrun.Batch(tmp_path, PROFILE, "--pixels", str(rules))
    for name, ds, _ in objects:
        batch.add(name, ds)
    shown = batch.run()
    assert batch.code == 0 and len(objects) >= 200, batch.stderr
    scorer = scored(objects, shown)
    print(scorer.table())
    assert scorer.wrong == []
    assert all(n > 0 for n in scorer.all.values())


def test_the_key_counts_what_leaks_and_what_is_lost(objects):
    """The sources themselves leak; objects of which nothing is left have lost."""
    same = {name: deidrun.Shown(deidrun.encode(ds), name, None, None) for name, ds, _ in objects}
    leaky = scored(objects, same)
    for kind in ("text_removed", "date_shifted", "uid_changed", "pixels_hidden"):
        assert leaky.right[kind] == 0, kind
    lost = scored(objects, {name: deidrun.Shown(None, "", "refused", None) for name in same})
    assert sum(lost.right.values()) == 0
