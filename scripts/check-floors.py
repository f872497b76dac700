#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fail when a file includes upward, sideways, or a library that is not its own.

scripts/floors.txt says which floor a module is on and who owns a library. Run from the
top of the tree.
"""
import pathlib
import re
import sys

# Headers in include/vivofs that are not named after their module.
PART_OF = {"error": "base", "op": "base", "buf": "base", "log": "base", "hash": "base",
           "cert": "base", "file": "base", "pool": "base", "text": "base", "inflate": "base",
           "view": "model", "driver": "drivers", "dimse": "net", "extras": "catalog",
           "search": "catalog"}


def read_table(path):
    floor, owners = {}, []
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "lib":
            owners.append((words[1], set(words[2:])))
        else:
            floor.update({m: int(words[0]) for m in words[1:]})
    return floor, owners


def module_of(path, root):
    if path.parent.name == "vivofs":
        return PART_OF.get(path.stem, path.stem)
    return path.relative_to(root / "src").parts[0]


def faults(path, me, floor, owners):
    for n, line in enumerate(path.read_text().splitlines(), 1):
        if m := re.match(r'\s*#\s*include\s+"vivofs/(\w+)\.h"', line):
            other = PART_OF.get(m[1], m[1])
            if other != me and floor[other] >= floor[me]:
                yield n, f"{me} (floor {floor[me]}) may not include {m[1]}.h of {other}"
        elif m := re.match(r'\s*#\s*include\s+"(\w+)/', line):
            if m[1] in floor and m[1] != me:
                yield n, f"{me} may not include a private header of {m[1]}"
        elif m := re.match(r"\s*#\s*include\s+<([\w./]+)>", line):
            for lib, allowed in owners:
                if m[1].startswith(lib) and me not in allowed:
                    yield n, f"{me} may not include <{m[1]}>: it belongs to {', '.join(allowed)}"


def main():
    root = pathlib.Path(".")
    floor, owners = read_table(root / "scripts/floors.txt")
    bad = seen = 0
    for path in sorted([*root.glob("include/vivofs/*.h"), *root.glob("src/**/*.*")]):
        if path.suffix not in (".c", ".h", ".cc"):
            continue
        seen += 1
        me = module_of(path, root)
        if me not in floor:
            print(f"{path}: '{me}' stands on no floor of scripts/floors.txt")
            bad += 1
            continue
        for n, text in faults(path, me, floor, owners):
            print(f"{path}:{n}: {text}")
            bad += 1
    if not seen:
        print("no sources found: run it from the top of the tree")
        return 1
    return 1 if bad else 0


sys.exit(main())
