# SPDX-License-Identifier: Apache-2.0
"""`vivofs archives`: the survey's archives as a table, and every preset by itself."""
import csv
import glob
import json
import os
import subprocess

import pytest

from vivomount import BINARY, environment

PRESETS = sorted(os.path.basename(p)[:-5] for p in glob.glob(os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "mountopts", "*.conf")))
# The archives of the survey, or what became of them, and what people use today.
SURVEY = {"tcia", "nlst", "idc", "nitrc-ir", "oasis", "kitware", "ida", "fbirn", "nirl",
          "give-a-scan", "osa", "nhanes-spine", "nhanes3-hand-knee", "na-mic",
          "nih-image-bank", "eortc", "nda-pediatric-mri", "ndar", "oai", "orthanc", "dcm4chee", "google-healthcare", "pacs"}
CELLS = ("content", "software", "login", "sharing", "terms", "grouping", "speaks",
         "queries", "does")


def vivofs(*words, home, cwd=None):
    return subprocess.run([BINARY, *words], capture_output=True, text=True, cwd=cwd,
                          env=environment(str(home)))


def archives(*words, home):
    return vivofs("archives", *words, home=home)


def of(name):
    """The lines of a preset's file."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                           "mountopts", name + ".conf")) as f:
        lines = [line.split("=", 1) for line in f if "=" in line and line[0] != "#"]
    return {key.strip(): value.strip() for key, value in lines}


def test_table_fits_a_hundred_columns_and_has_the_survey(tmp_path):
    out = archives(home=tmp_path)
    assert out.returncode == 0 and not out.stderr
    lines = out.stdout.splitlines()
    assert max(map(len, lines)) <= 100 and not any(line.endswith(" ") for line in lines)
    assert lines[0].split() == ["ARCHIVE", "CONTENT", "SOFTWARE", "ACCOUNT", "SHARING",
                                "LICENCE", "GROUPED", "PROTOCOL", "QUERIES", "VIVOFS"]
    blocks = out.stdout.split("\n\n")[1:]
    names = ["".join(line[:12].strip() for line in b.splitlines()) for b in blocks]
    assert names == PRESETS and SURVEY <= set(names)


def test_table_as_csv_and_json_is_the_same(tmp_path):
    rows = list(csv.DictReader(archives("--format", "csv", home=tmp_path).stdout
                               .splitlines()))
    assert rows == json.loads(archives("--format", "json", home=tmp_path).stdout)
    assert [r["name"] for r in rows] == PRESETS
    for r in rows:
        assert r["note"] or r["source"] or r["name"] == "google-healthcare"
    assert archives("--format", "xml", home=tmp_path).returncode == 2
    assert archives("tcia", "idc", home=tmp_path).returncode == 2


@pytest.mark.parametrize("name", sorted(SURVEY | {"local"}))
def test_row_of_the_survey_is_complete(name):
    assert all(of(name).get(cell) for cell in CELLS)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_says_what_it_needs_and_can_be_mounted_or_says_why(name, tmp_path):
    one = archives(name, home=tmp_path)
    assert one.returncode == 0 and "not said" not in one.stdout
    preset = of(name)
    assert preset.get("about") and "source" in preset
    if preset["source"]:
        # The source has a driver and the options are options; nobody is asked.
        done = vivofs("query", "-o", "offline,cache=memory", "--format", "count",
                      "has Modality", name, home=tmp_path, cwd=tmp_path)
        assert f"{name}: not listed before, and offline" in done.stderr
        assert f"vivofs mount {name} ~/{name}" in one.stdout
        return
    done = vivofs("mount", name, str(tmp_path), home=tmp_path)
    assert done.returncode == 1 and len(done.stderr) > 80
    assert f"{name}: nothing to mount: " in done.stderr
    schemes = vivofs("--help", home=tmp_path).stdout.split("\nOptions of -o")[0].split()
    for word in (preset.get("command", "") + " " + preset.get("note", "")).split():
        scheme = word.split("=", 1)[-1].split("://")[0]
        if "://" in word and preset.get("command", "") and word in preset["command"]:
            assert scheme in schemes


def test_archives_with_a_name_gives_the_command(tmp_path):
    out = archives("tcia", home=tmp_path).stdout
    assert "vivofs mount tcia ~/tcia" in out and "deid=none" in out
    assert "BEARER" not in out and "bearer=FILE" in archives(
        "google-healthcare", home=tmp_path).stdout
    assert "vivofs mount ida=COLLECTION.zip" in archives("ida", home=tmp_path).stdout
    wrong = archives("tciaa", home=tmp_path)
    assert wrong.returncode == 1 and "did you mean 'tcia'" in wrong.stderr
    assert archives("../etc", home=tmp_path).returncode == 2


def test_own_preset_comes_before_the_installed_one(tmp_path):
    where = tmp_path / "config/vivofs"
    where.mkdir(parents=True)
    (where / "tcia.conf").write_text("about = mine\nsource = nbia+http://h/nbia-api\n")
    (where / "broken.conf").write_text("no equals sign\n")
    assert "source     nbia+http://h/nbia-api" in archives("tcia", home=tmp_path).stdout
    out = archives(home=tmp_path)
    assert out.returncode == 1 and "broken.conf, line 1" in out.stderr
    assert "\ntcia         mine " in out.stdout and "\neortc " in out.stdout
