"""The systemd units of deploy/debian: valid, and hardly exposed."""

import re
import subprocess

import pytest

from support.programs import ROOT, binary

UNITS = {"caseview-worker@9471.service": "caseview@.caseview-worker.service", "caseview-api.service": "caseview.caseview-api.service"}
EXPOSURE = 20  # tenths


@pytest.fixture(params=UNITS)
def unit(request, tmp_path):
    """A copy that runs the programs of the build, as the installed ones are not there."""
    text = (ROOT / "deploy/debian" / UNITS[request.param]).read_text()
    text = re.sub(r"(?m)^ExecStart=/usr/bin/(caseview(?:-api)?)", lambda m: f"ExecStart={binary(m[1]).resolve()}", text)
    for name in {request.param, re.sub(r"@.*\.", "@.", request.param)}:
        (tmp_path / name).write_text(text)
    return tmp_path / request.param


def analyze(*words):
    done = subprocess.run(["systemd-analyze", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_a_unit_is_valid(unit):
    assert analyze("verify", "--man=no", unit) == (0, "")


def test_a_unit_is_hardly_exposed(unit):
    code, text = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
    assert code == 0, text


def test_the_threshold_is_one(unit):
    """A unit without some of its restrictions is refused by the same call."""
    unit.write_text(re.sub(r"(?m)^(SystemCallFilter|CapabilityBoundingSet|RestrictAddressFamilies)=.*\n", "", unit.read_text()))
    for template in unit.parent.glob("*@.service"):
        template.write_text(unit.read_text())
    code, text = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", unit)
    assert code != 0, text


def test_both_units_have_the_same_sandbox():
    def sandbox(name):
        text = (ROOT / "deploy/debian" / name).read_text()
        return text[text.index("ProtectSystem=") : text.index("~@privileged")]

    one, other = (sandbox(name) for name in UNITS.values())
    assert one == other and len(one.splitlines()) > 25
