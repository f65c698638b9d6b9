#!/usr/bin/env python3
"""Puts one violation each into an otherwise clean tree and expects `run` to report it and nothing else."""
import os
import stat
import subprocess
import sys
import tempfile
import unittest

import layout

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(HERE, "run")
with open(os.path.join(HERE, "../../.clang-format"), encoding="utf-8") as file:
    STYLE = file.read()
CLEAN = {
    ".clang-format": STYLE,
    "tests/lint/glossary": "# comment\nby now -> already\nmends? -> fix\n",
    "include/caseview/base.h": "#include <stdlib.h>\n",
    "include/caseview/buf.h": '#include "caseview/base.h"\n',
    "include/caseview/clock.h": '#include "caseview/base.h"\n',
    "include/caseview/log.h": '#include "caseview/base.h"\n',
    "include/caseview/db.h": '#include "caseview/base.h"\n',
    "lib/db_internal.h": '#include <libpq-fe.h>\n\n#include "caseview/db.h"\n',
    "lib/db.c": '#include "caseview/log.h"\n#include "db_internal.h"\n',
    "workers/fold/case.h": '#include "caseview/base.h"\n',
    "workers/source/decode.c": '#include "workers/fold/case.h"\n#include <avro.h>\n',
    "workers/source/consumer.c": "#include <librdkafka/rdkafka.h>\n",
    "workers/sink/writer.c": '#include "caseview/db.h"\n#include "sql_worker.h"\n',
    "workers/sink/writer.h": "",
    "workers/source/decode.h": "",
    "workers/main.c": "int main(void)\n{\n    exit(2);\n}\n",
    "api/main.c": '/* exit(1) in a comment */\nconst char *text = "exit(1)";\n',
}
PAGE = {"bin/caseview": "#!/bin/sh\necho page\n", "docs/configuration.md": "page\n"}
BUILD = "build"  # a folder that lint does not search


def long_function(name, lines):
    head = "static int %s(int a,\n%sint %s)" % (name, " " * (12 + len(name)), "b" * 95)
    return "%s\n{\n%s}\n" % (head, "    a++;\n" * lines)


def function(name, *calls):
    heads = "".join("void %s(void);\n" % call for call in calls)
    return "%svoid %s(void)\n{\n%s}\n" % (heads + "\n" * bool(calls), name, "".join("    %s();\n" % c for c in calls))


def compile_all(root, sources):
    """Objects as CMake names them; of what the clean tree has, only empty ones."""
    for path in [*sources, *(path for path in CLEAN if path.endswith(".c") and path not in sources)]:
        target = os.path.join(root, BUILD, "CMakeFiles/cv_x.dir", path + ".o")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        source = os.path.join(root, path) if path in sources else os.devnull
        subprocess.run(["cc", "-x", "c", "-c", source, "-o", target], check=True, timeout=60)


class LintTest(unittest.TestCase):
    maxDiff = None

    def lint(self, extra, *arguments, build=False):
        """(exit code, output) for the clean tree with these files. build: calls are checked, too."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **extra}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
                if path.startswith("bin/"):
                    os.chmod(full, os.stat(full).st_mode | stat.S_IXUSR)
            options = [word for word in arguments if word.startswith("-")]
            programs = [os.path.join(root, word) for word in arguments if not word.startswith("-")]
            if build:
                compile_all(root, [path for path in extra if path.endswith(".c")])
                programs.append(os.path.join(root, BUILD))
            answer = subprocess.run([sys.executable, RUN, *options, root, *programs], stdout=subprocess.PIPE, timeout=60)
            return answer.returncode, answer.stdout.decode()

    def lint_calls(self, extra):
        return self.lint({**PAGE, **extra}, "bin/caseview", build=True)

    def assert_finding(self, extra, *words):
        code, text = self.lint(extra)
        self.assertEqual(code, 1, text)
        self.assertEqual(text.count("\n"), 1, text)
        for word in words:
            self.assertIn(word, text)

    def test_clean_tree(self):
        self.assertEqual(self.lint({}), (0, ""))

    def test_layers(self):
        self.assert_finding({"workers/sink/a.c": '#include "workers/source/decode.h"\n'}, "workers/sink/a.c:1", "source")
        self.assert_finding({"workers/source/a.c": '#include "../sink/writer.h"\n'}, "workers/source/a.c:1", "sink")
        self.assert_finding({"api/a.c": 'int a;\n#include "workers/fold/case.h"\n'}, "api/a.c:2", "fold")
        self.assert_finding({"lib/db_x.c": '#include "workers/fold/case.h"\n'}, "lib may not include fold")

    def test_fold_is_pure(self):
        self.assert_finding({"workers/fold/a.c": '#include "caseview/clock.h"\n'}, "fold is pure")
        self.assert_finding({"workers/fold/a.c": "#include <jansson.h>\n"}, "may not know jansson")

    def test_libraries(self):
        for path, header in [("workers/source/decode.h", "<librdkafka/rdkafka.h>"), ("workers/sink/a.c", "<avro.h>"),
                             ("workers/sink/a.c", "<libpq-fe.h>"), ("lib/buf.c", "<libpq-fe.h>"),
                             ("lib/admin.c", "<civetweb.h>"), ("api/routes.c", "<cjose/cjose.h>"),
                             ("workers/source/registry.c", '"curl/curl.h"')]:
            self.assert_finding({path: "#include %s\n" % header}, path + ":1", "may not know")

    def test_generated_sql(self):
        self.assert_finding({"api/a.c": '#include "sql_worker.h"\n'}, "belongs to")

    def test_lib_floors(self):
        self.assert_finding({"lib/buf.c": '#include "caseview/log.h"\n'}, "buf may not include log")
        self.assert_finding({"include/caseview/new.h": '#include "caseview/base.h"\n'}, "has no floor")

    def test_circle_of_includes(self):
        self.assert_finding({"api/a.h": '#include "b.h"\n', "api/b.h": "", "api/b.c": '#include "a.h"\n'},
                            "a includes b (b.h), b includes a (a.h)")
        # A file is not folded into the one whose name it begins with.
        self.assert_finding({"api/a.h": '#include "a_part.h"\n', "api/a_part.h": "", "api/a_part.c": '#include "a.h"\n'},
                            "a includes a_part (a_part.h), a_part includes a (a.h)")
        self.assert_finding({"api/a.h": '#include "b.h"\n', "api/b.h": '#include "c.h"\n', "api/c.h": '#include "a.h"\n'},
                            "a includes b (b.h), b includes c (c.h), c includes a (a.h)")

    def test_internal_header_includes_its_public_one(self):
        self.assertEqual(self.lint({"api/a.h": "", "api/a_internal.h": '#include "a.h"\n',
                                    "api/a.c": '#include "a_internal.h"\n'}), (0, ""))

    def test_circle_of_calls(self):
        code, text = self.lint_calls({"api/a.c": function("a", "a_part"), "api/a_part.c": function("a_part", "a")})
        self.assertEqual((code, text), (1, "api/a.c:1: circle: a calls a_part (a_part), a_part calls a (a)\n"))
        code, text = self.lint_calls({"api/a.c": function("a", "b"), "api/b.c": function("b", "c"),
                                      "api/c.c": function("c", "a")})
        self.assertEqual((code, text), (1, "api/a.c:1: circle: a calls b (b), b calls c (c), c calls a (a)\n"))

    def test_calls_without_a_circle(self):
        # Up and down again in other folders, and a static function of the same name: no circle within a folder.
        self.assertEqual(self.lint_calls({"api/a.c": function("a", "b"), "lib/db.c": function("b", "a")}), (0, ""))
        b = "static void a(void)\n{\n}\n\nvoid b(void)\n{\n    a();\n}\n"
        self.assertEqual(self.lint_calls({"api/a.c": function("a", "b"), "api/b.c": b}), (0, ""))

    def test_missing_object(self):
        code, text = self.lint({**PAGE, "api/a.h": ""}, "bin/caseview", "bin")
        self.assertEqual((code, text.count("has no object")), (1, text.count("\n")))

    @unittest.skipUnless(layout.formatter(), "clang-format 14 is not installed")
    def test_layout(self):
        self.assert_finding({"api/a.c": "int  a;\n\n\n\nint b;\n"}, "api/a.c:1", "layout differs")

    def test_comments(self):
        self.assert_finding({"api/a.c": "/* It is\n * done. */\n"}, "api/a.c:1", "begins with a line `/*`")
        self.assert_finding({"api/a.c": "void f(void)\n{\n    /* It is\n     * done. */\n}\n"}, "api/a.c:3", "begins with a line `/*`")
        good = "/* done */\nint a; /* It is\n           done */\n/*\n * It is\n * done.\n */\n"
        self.assertEqual(self.lint({"api/a.c": good}), (0, ""))

    def test_words(self):
        self.assert_finding({"api/a.c": "/*\n * It is\n * by\n * now done.\n */\n"}, "api/a.c:3", '"by now": write already')
        self.assert_finding({"api/a.c": 'const char *text = "Mend it";\n'}, "api/a.c:1", '"Mend": write fix')
        self.assert_finding({"docs/a.md": "\nwho mends it\n"}, "docs/a.md:2")
        self.assert_finding({"deploy/a": "#!/bin/sh\n# who mends it\n"}, "deploy/a:2")
        self.assertEqual(self.lint({"api/a.c": "int mend; /* amends */\n"}), (0, ""))

    def test_includes_a_c_file(self):
        self.assert_finding({"tests/unit/a.c": '#include "lib/db.c"\n'}, "a .c file is never included")

    def test_unknown_header(self):
        self.assert_finding({"api/a.c": '#include "nowhere.h"\n'}, "there is no nowhere.h")

    def test_file_size(self):
        self.assert_finding({"api/a.h": "int a;\n" * 601}, "601 lines")
        self.assertEqual(self.lint({"api/a.h": "int a;\n" * 600})[0], 0)

    def test_function_size(self):
        self.assert_finding({"api/a.c": long_function("big", 61)}, "api/a.c:3", "big() has 61 lines")
        self.assertEqual(self.lint({"api/a.c": long_function("fits", 60)})[0], 0)
        allow = {"tests/lint/allow": "# comment\napi/a.c big a table of cases\n"}
        self.assertEqual(self.lint({"api/a.c": long_function("big", 61), **allow}), (0, ""))
        self.assert_finding(allow, "is not long")

    def test_exit_outside_main(self):
        self.assert_finding({"api/a.c": "void a(void)\n{\n    exit(1);\n}\n"}, "api/a.c:3", "exit() outside main")

    def test_foreign_name(self):
        self.assert_finding({"README.md": "see ../" + "shared/x\n"}, "README.md:1")

    def test_generated_page(self):
        self.assertEqual(self.lint(PAGE, "bin/caseview"), (0, ""))
        code, text = self.lint({**PAGE, "docs/configuration.md": "old\n"}, "bin/caseview")
        self.assertEqual(code, 1)
        self.assertIn("docs/configuration.md:1", text)
        self.assertEqual(self.lint({"bin/caseview": "#!/bin/sh\nexit 2\n"}, "bin/caseview")[0], 1)


if __name__ == "__main__":
    unittest.main()
