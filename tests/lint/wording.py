"""Finds words of tests/lint/glossary in what people read: documents, SQL, scripts, and comments and strings of C files."""
import re

GLOSSARY = "tests/lint/glossary"
NOT_READ = {"LICENSE", GLOSSARY, "tests/lint/test_run.py"}
IN_C = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)


def glossary_of(lint):
    """(compiled pattern, the pattern's text, what to write) of each line `PATTERN -> ADVICE`."""
    entries = []
    for number, line in enumerate(lint.read(GLOSSARY).split("\n") if GLOSSARY in lint.known else (), 1):
        if not line.strip() or line.startswith("#"):
            continue
        pattern, arrow, advice = line.partition(" -> ")
        if not arrow:
            lint.report(GLOSSARY, number, "must be PATTERN -> ADVICE")
            continue
        # Words may be divided by a line's end and the decoration of a comment's next line.
        spaced = pattern.strip().replace(" ", r"[\s*#]+")
        entries.append((re.compile(r"(?<![\w-])(?:%s)(?![\w-])" % spaced, re.I), advice.strip()))
    return entries


def is_script(lint, path):
    return path.endswith((".py", ".sh")) or "." not in path.rsplit("/", 1)[-1] and lint.read(path).startswith("#!")


def parts_of(lint, path):
    """(text, where it starts) of each part of a file that people read."""
    text = lint.read(path)
    if path.endswith((".c", ".h")):
        for match in IN_C.finditer(text):
            yield match.group(), match.start()
    elif path.endswith((".md", ".sql", ".yaml")) or is_script(lint, path):
        yield text, 0


def check_words(lint):
    entries = glossary_of(lint)
    for path in lint.files if entries else ():
        if path in NOT_READ:
            continue
        text = lint.read(path)
        for part, start in parts_of(lint, path):
            for pattern, advice in entries:
                for match in pattern.finditer(part):
                    line = text.count("\n", 0, start + match.start()) + 1
                    word = " ".join(re.sub(r"[\s*#]+", " ", match.group()).split())
                    lint.report(path, line, "\"%s\": write %s" % (word, advice))
