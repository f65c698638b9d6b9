"""One step of the worker each, on one core, without servers: decode, fold, render."""

import re

import rig as rigs
from measure import Row

NOTES = ["CPU time on one core; the programs print more than is shown here"]
EACH = re.compile(r"([\d.]+) (ns|µs|us) CPU a")


def one(rig, program, unit):
    printed, text = [], ""
    for _ in range(rig.wanted.repetitions):
        text, _ = rigs.finished(rig.program(program))
        found = EACH.search(text)
        if not found:
            raise rigs.Broken(f"{program} printed no CPU time: {text!r}")
        printed.append(float(found[1]) / (1000 if found[2] == "ns" else 1))
    return Row(
        program.removeprefix("bench_"), [1e6 / us for us in printed], unit, note=text.strip(),
        cpu={"process": sorted(printed)[len(printed) // 2]},
    )  # fmt: skip


def run(rig):
    return [
        one(rig, "bench_decode", "events/s"),
        one(rig, "bench_fold", "events/s"),
        one(rig, "bench_render", "cases/s"),
    ]
