#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Fail on functions and words that this project does without.

An exception stands on its line with the reason: /* allow: why */. Run from the top of
the tree.
"""
import pathlib
import re
import sys

CALLS = {
    "strcpy": "memcpy with a length, or snprintf", "strcat": "vivo_buf_add",
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strtok": "strcspn", "gets": "fgets",
    "atoi": "strtoll with all checks", "atol": "strtoll", "atof": "strtod",
    "strtol": "strtoll with all checks", "alloca": "an arena", "system": "posix_spawn",
    "popen": "posix_spawn", "rand": "vivo_random", "tmpnam": "mkostemp",
    "mktemp": "mkostemp", "abort": "an error", "strerror_r": "strerror",
}
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(CALLS))
WORDS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b|not implemented")
# A value or an original in a log line or an error text would be a leak.
LEAK = re.compile(r"\b(vivo_log|vivo_fail|vivo_fail_in)\s*\([^;]*(->value\b|\.value\b)")
BUILT_SQL = re.compile(r"sqlite3_exec\s*\([^,]+,\s*[a-z]\w*(->|\.|\[)?\w*\s*[,)]")
EXIT = re.compile(r"(?<![\w.>_])exit\s*\(")


def code_only(line):
    """The line without strings and comments, so that words in them are free."""
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return re.sub(r"/\*.*?\*/|//.*", "", line)


def faults(path, text):
    below_cli = "cli" not in path.parts
    in_comment = False
    for n, line in enumerate(text.splitlines(), 1):
        if WORDS.search(line):
            yield n, "unfinished by its own words"
        if "/* allow:" in line:
            continue
        code = line
        if in_comment:
            in_comment = "*/" not in code
            continue
        code = code_only(code)
        if "/*" in code and "*/" not in code:
            in_comment = True
            code = code[: code.index("/*")]
        if m := CALL.search(code):
            yield n, f"{m[1]}() is banned: {CALLS[m[1]]}"
        if below_cli and EXIT.search(code):
            yield n, "exit() below cli"
        if BUILT_SQL.search(code):
            yield n, "sqlite3_exec with a built string: prepare and bind"
    for m in LEAK.finditer(text):
        yield text[: m.start()].count("\n") + 1, "a value in a log line or an error"


def main():
    bad = seen = 0
    for path in sorted([*pathlib.Path("src").glob("**/*"), *pathlib.Path("include").glob("**/*")]):
        if path.suffix not in (".c", ".h", ".cc"):
            continue
        seen += 1
        for n, text in faults(path, path.read_text()):
            print(f"{path}:{n}: {text}")
            bad += 1
    return 1 if bad or not seen else 0


sys.exit(main())
