#!/usr/bin/env python3
"""Plants one violation each in an otherwise clean tree and expects `run` to name it."""
import os
import stat
import subprocess
import sys
import tempfile
import unittest

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run")
CLEAN = {
    "include/caseview/base.h": "#include <stdlib.h>\n",
    "include/caseview/buf.h": '#include "caseview/base.h"\n',
    "include/caseview/clock.h": '#include "caseview/base.h"\n',
    "include/caseview/log.h": '#include "caseview/base.h"\n',
    "include/caseview/db.h": '#include "caseview/base.h"\n',
    "lib/db_internal.h": '#include "caseview/db.h"\n#include <libpq-fe.h>\n',
    "lib/db.c": '#include "db_internal.h"\n#include "caseview/log.h"\n',
    "workers/fold/case.h": '#include "caseview/base.h"\n',
    "workers/source/decode.c": '#include <avro.h>\n#include "workers/fold/case.h"\n',
    "workers/source/consumer.c": "#include <librdkafka/rdkafka.h>\n",
    "workers/sink/writer.c": '#include "caseview/db.h"\n#include "sql_worker.h"\n',
    "workers/sink/writer.h": "",
    "workers/source/decode.h": "",
    "workers/main.c": "int main(void)\n{\n    exit(2);\n}\n",
    "api/main.c": '/* exit(1) in a comment */\nconst char *text = "exit(1)";\n',
}


def long_function(name, lines):
    return "static int %s(int a,\n        int b)\n{\n%s}\n" % (name, "    a++;\n" * lines)


class LintTest(unittest.TestCase):
    def lint(self, extra, *arguments):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**CLEAN, **extra}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
                if path.startswith("bin/"):
                    os.chmod(full, os.stat(full).st_mode | stat.S_IXUSR)
            answer = subprocess.run([sys.executable, RUN, root, *[os.path.join(root, a) for a in arguments]],
                                    stdout=subprocess.PIPE, timeout=60)
            return answer.returncode, answer.stdout.decode()

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
        self.assert_finding({"api/a.c": '\n#include "workers/fold/case.h"\n'}, "api/a.c:2", "fold")
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

    def test_circle(self):
        self.assert_finding({"api/a.h": '#include "b.h"\n', "api/b.h": "", "api/b.c": '#include "a.h"\n'}, "a circle")

    def test_includes_a_c_file(self):
        self.assert_finding({"tests/unit/a.c": '#include "lib/db.c"\n'}, "nobody includes a .c")

    def test_unknown_header(self):
        self.assert_finding({"api/a.c": '#include "nowhere.h"\n'}, "there is no nowhere.h")

    def test_file_size(self):
        self.assert_finding({"api/a.h": "\n" * 601}, "601 lines")
        self.assertEqual(self.lint({"api/a.h": "\n" * 600})[0], 0)

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
        binary = {"bin/caseview": "#!/bin/sh\necho page\n"}
        self.assertEqual(self.lint({**binary, "docs/configuration.md": "page\n"}, "bin/caseview"), (0, ""))
        code, text = self.lint({**binary, "docs/configuration.md": "old\n"}, "bin/caseview")
        self.assertEqual(code, 1)
        self.assertIn("docs/configuration.md:1", text)
        self.assertEqual(self.lint({"bin/caseview": "#!/bin/sh\nexit 2\n"}, "bin/caseview")[0], 1)


if __name__ == "__main__":
    unittest.main()
