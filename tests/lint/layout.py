"""Compares the layout of each C file with what clang-format makes of it; and comments, in which it leaves two forms.

Version 14 (Debian 12) decides, since versions differ in details and only one of them can be right. Where it is not
installed, on Debian 13 for example, the layout is not checked and one line says so.
"""
import re
import shutil
import subprocess
import sys

VERSION = "14"
AT_ONCE = 40
COMMENT = re.compile(r"^[ \t]*/\* (?:(?!\*/).)*$", re.M)  # begins a line and does not end on it
FINDING = re.compile(r"(.+?):(\d+):\d+: (?:error|warning): (.*)")


def formatter():
    for name in ("clang-format-" + VERSION, "clang-format"):
        path = shutil.which(name)
        if not path:
            continue
        done = subprocess.run([path, "--version"], stdout=subprocess.PIPE, timeout=60)
        if re.search(r"version %s\." % VERSION, done.stdout.decode()):
            return path
    return None


def check_comments(lint, files):
    for path in files:
        text = lint.read(path)
        for match in COMMENT.finditer(text):
            lint.report(path, text.count("\n", 0, match.start()) + 1, "a comment of several lines begins with a line `/*`")


def check_layout(lint, files):
    check_comments(lint, files)
    program = formatter()
    if not program:
        print("lint: layout not checked: clang-format %s is not installed" % VERSION, file=sys.stderr)
        return
    for start in range(0, len(files), AT_ONCE):
        done = subprocess.run([program, "--dry-run", *files[start:start + AT_ONCE]], stderr=subprocess.PIPE,
                              cwd=lint.root, timeout=300)
        seen = set()
        for match in map(FINDING.fullmatch, done.stderr.decode(errors="replace").split("\n")):
            if match and match.group(1) not in seen:
                seen.add(match.group(1))
                lint.report(match.group(1), int(match.group(2)), "layout differs: clang-format-%s -i %s" %
                            (VERSION, match.group(1)))
        if done.returncode != 0 and not seen:
            lint.report(files[start], 1, "clang-format: %s" % done.stderr.decode(errors="replace").strip()[:300])
