"""Manual pages and completion, which the programs print from their option table: complete, and what man and bash take."""

import json
import os
import re
import subprocess

import pytest

from support import programs

COMMANDS = re.findall(r"(?m)^  (\w+) +", programs.run("caseview", "--help", check=0).stdout)
PAGES = [("caseview", None), *(("caseview", command) for command in COMMANDS), ("caseview-api", None)]
# | `name` | programs | values | default | meaning |
ROWS = re.findall(r"(?m)^\| `([\w-]+)` \| (.*?) \| (.*?) \| (.*?) \| (.*) \|$", programs.run("caseview", "--markdown", check=0).stdout)  # fmt: skip


def page_of(program, command, tmp_path):
    path = tmp_path / f"{program}{command or ''}.1"
    path.write_text(programs.run(program, "--man", *[command][: command is not None], check=0).stdout)
    return path


def rendered(path):
    """The page as a reader sees it, on a line without end, so that nothing is broken within a sentence."""
    environment = {**os.environ, "MANWIDTH": "4000", "LC_ALL": "C.UTF-8"}
    return subprocess.run(["man", "-l", path], env=environment, check=True, capture_output=True, text=True).stdout


def squeezed(text):
    return " ".join(text.replace("`", "").replace("…", "...").split())


def belongs(programs_cell, program, command):
    """Whether the page of configuration.md says that a program, or one of its commands, reads an option."""
    readers = [reader.strip() for reader in programs_cell.split(",")]
    if programs_cell == "all" or program in readers:
        return True
    return any(reader == f"{program} {command}" or (command is None and reader.startswith(program + " ")) for reader in readers)


@pytest.mark.parametrize("program,command", PAGES)
@pytest.mark.parametrize("device", ["utf8", "ascii", "ps"])
def test_a_page_has_nothing_that_groff_warns_of(tmp_path, program, command, device):
    path = page_of(program, command, tmp_path)
    done = subprocess.run(["groff", "-ww", "-b", "-man", "-K", "utf8", f"-T{device}", "-z", path], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert path.read_text().isascii()


@pytest.mark.parametrize("program,command", PAGES)
def test_a_page_has_every_option_of_its_program_and_no_other(tmp_path, program, command):
    text = squeezed(rendered(page_of(program, command, tmp_path)))
    options = text[text.index("OPTIONS Each option") : text.index("EXIT STATUS")]
    found = set(re.findall(r"(?<= )--([a-z-]+)(?= )", options))
    expected = {name for name, readers, *_ in ROWS if belongs(readers, program, command)}
    assert len(expected) > 8
    assert expected <= found
    assert found - expected <= {"some-name", "config", "help", "version", "man", "completion"} | mentioned(options)
    for name, readers, _, default, meaning in ROWS:
        if belongs(readers, program, command):
            assert squeezed(meaning.replace("\\|", "|")) in options, name
            if default not in ("–", "required"):
                assert f"Default: {default.strip('`')}." in options, name


def mentioned(options):
    """Options that the help of another one names."""
    return {word for word in re.findall(r"--([a-z-]+)", options) if word in {name for name, *_ in ROWS}}


def test_the_sections_of_a_page(tmp_path):
    for program, command in PAGES:
        text = page_of(program, command, tmp_path).read_text()
        sections = re.findall(r"(?m)^\.SH (.*)$", text)
        assert sections == [
            "NAME", "SYNOPSIS", "DESCRIPTION", *["COMMANDS"][: (program, command) == ("caseview", None)], "OPTIONS",
            "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO",
        ]  # fmt: skip
        title = "-".join(filter(None, [program, command])).upper().replace("-", r"\-")
        assert f'.TH "{title}" 1 ' in text or f'.TH "{title.replace(chr(92), "")}" 1 ' in text


def test_the_page_of_a_command_that_does_not_exist():
    assert "no such command: nonsense" in programs.run("caseview", "--man", "nonsense", check=2).stderr


# --- completion -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Both scripts in one file."""
    path = tmp_path_factory.mktemp("completion") / "both"
    path.write_text("".join(programs.run(name, "--completion", check=0).stdout for name in ("caseview", "caseview-api")))
    return path


def complete(script, line, folder="/"):
    """What bash offers at the end of a line, its words divided as readline does: at blanks and at `=`."""
    words = [part for word in line.split(" ") for part in re.findall(r"=|[^=]+", word) or [""]]
    commands = f"""
        compopt() {{ :; }} # only within a completion that readline started
        source {script}
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        "$function" "$1" "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
        ((${{#COMPREPLY[@]}} == 0)) || printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-euc", commands, "bash", *words], capture_output=True, text=True, cwd=folder, check=True
    )
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "line,expected",
    [
        ("caseview re", ["resume", "repair", "rebuild"]),
        ("caseview --v", ["--version"]),
        ("caseview parked ", ["list", "show", "export", "retry", "skip"]),
        ("caseview parked re", ["retry"]),
        ("caseview parked list --l", ["--limit", "--log-level", "--log-format"]),
        ("caseview worker --gen", ["--generation"]),
        ("caseview worker --log-level ", ["error", "warn", "info", "debug"]),
        ("caseview worker --log-level=w", ["warn"]),
        ("caseview worker --log-level=", ["error", "warn", "info", "debug"]),
        ("caseview worker --log-level warn --log-", ["--log-format"]),
        ("caseview worker --kafka a=b --kaf", ["--kafka"]),
        ("caseview worker --bulk-rate ", []),
        ("caseview status --check --j", ["--json"]),
        ("caseview rebuild status --check ca", ["caught-up"]),
        ("caseview rebuild sw", ["switch"]),
        ("caseview worker --tls", []),
        ("caseview nonsense --", []),
        ("caseview worker --config file", ["file.conf"]),
        ("caseview worker --schema-dir ", ["folder"]),
        ("caseview worker --ca-file file", ["file.conf"]),
        ("caseview-api --tls", ["--tls-certificate"]),
        ("caseview-api --jwks=fi", ["file.conf"]),
        ("caseview-api --cache ", ["off"]),
        ("caseview-api --vers", ["--version"]),
    ],
)
def test_bash_offers(script, tmp_path, line, expected):
    (tmp_path / "file.conf").touch()
    (tmp_path / "folder").mkdir()
    offered = complete(script, line, tmp_path)
    if line == "caseview parked ":
        offered = [word for word in offered if not word.startswith("--")]
    assert offered == expected


def test_bash_offers_every_command_and_option(script):
    assert [word for word in complete(script, "caseview ") if not word.startswith("--")] == COMMANDS
    for program, command in PAGES[1:]:
        offered = set(complete(script, f"{program} {command} --" if command else f"{program} --"))
        expected = {f"--{name}" for name, readers, *_ in ROWS if belongs(readers, program, command)}
        assert offered - {"--version"} == expected | {"--config", "--help"}


def test_the_scripts_are_clean(script):
    done = subprocess.run(["shellcheck", "-s", "bash", "-f", "json", script], capture_output=True, text=True)
    assert json.loads(done.stdout) == []
