#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every function stands once, and somebody calls it.

Modules are static libraries, of which the linker takes the first that has a name: a
second definition goes unnoticed. Run from the top of the tree.
"""
import collections
import pathlib
import re
import sys

# What they tell of a view shows that its pixels were not copied.
FOR_TESTS = {"vivo_view_is_plain", "vivo_view_memory"}
# These have the names of what loads them (src/net/module.h).
LOADED = ("src/net/http/", "src/net/dimse/")
NOISE = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|/\*.*?\*/|//[^\n]*', re.S)
HEAD = re.compile(r"^(?!static|typedef|#)\w[^;{}()=]*?\b(vivo_\w+)\([^;{}]*\)\s*\n?\{", re.M)


def main():
    defined = collections.defaultdict(list)
    declared = collections.Counter()
    words = collections.Counter()
    for top in ("include", "src"):
        for path in sorted(pathlib.Path(top).rglob("*")):
            if path.suffix not in (".c", ".cc", ".h", ".def"):
                continue
            text = NOISE.sub(" ", path.read_text(encoding="utf8"))
            words.update(re.findall(r"\bvivo_\w+", text))
            if path.suffix == ".h":
                declared.update(set(re.findall(r"\b(vivo_\w+)\s*\(", text)))
            for name in HEAD.findall(text):
                if not str(path).startswith(LOADED):
                    defined[name].append(str(path))
    bad = [f"{name} is defined in {' and in '.join(where)}"
           for name, where in defined.items() if len(where) > 1]
    bad += [f"{where[0]}: nobody calls {name}" for name, where in defined.items()
            if words[name] <= declared[name] + len(where) and name not in FOR_TESTS]
    print("\n".join(sorted(bad)), end="\n" if bad else "")
    return 1 if bad or len(defined) < 500 else 0


if __name__ == "__main__":
    sys.exit(main())
