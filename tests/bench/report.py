"""The table that `run` prints, and the facts about the machine that it needs."""

import os
import pathlib
import platform
import re
import subprocess

from measure import TICK_S

HEAD = ("figure", "median", "range", "unit", "ratio", "target", "CPU µs each", "more")

RIGHT = {1, 2}


def number(value):
    magnitude = abs(value)
    if magnitude >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"


def cells(row):
    low, high = min(row.values), max(row.values)
    return (
        row.what,
        number(row.value),
        f"{number(low)}–{number(high)}" if len(row.values) > 1 else "",
        row.unit,
        f"{row.ratio:.3f} × {row.ratio_to}" if row.ratio is not None else "",
        row.target,
        " · ".join(f"{name} {number(us)}" for name, us in row.cpu.items()),
        row.more,
    )


def table(title, notes, rows):
    """A section as lines of text; the notes of single rows follow them."""
    lines = [HEAD, *map(cells, rows)]
    shown = [i for i in range(len(HEAD)) if any(line[i] for line in lines[1:])]
    widths = {i: max(len(line[i]) for line in lines) for i in shown}
    out = [f"== {title}", *notes]
    for line in lines:
        words = (line[i].rjust(widths[i]) if i in RIGHT else line[i].ljust(widths[i]) for i in shown)
        out.append("  ".join(words).rstrip())
    return out + [f"  {row.what}: {row.note}" for row in rows if row.note]


def processor():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()


def revision(root):
    done = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


class Quiet:
    """The load of the processors by other work, from two readings of /proc/stat."""

    def __init__(self):
        self.first = self._look()

    @staticmethod
    def _look():
        fields = pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        numbers = [int(field) for field in fields]
        return sum(numbers) * TICK_S, (sum(numbers) - numbers[3] - numbers[4]) * TICK_S

    def busy(self):
        """Processors that were busy on average since the start."""
        total, busy = (now - then for now, then in zip(self._look(), self.first))
        return busy / total * os.cpu_count() if total else 0.0


def machine(root, build_type, busy):
    return {
        "revision": revision(root),
        "build": build_type,
        "processor": processor(),
        "processors": os.cpu_count(),
        "kernel": platform.release(),
        "busy_before": round(busy, 2),
    }


def machine_lines(facts):
    line = "Caseview {revision}, {build} build; {processors} × {processor}, Linux {kernel}".format(**facts)
    loud = facts["busy_before"] > 0.15
    return [line, f"before the start {facts['busy_before']:.2f} processors were busy{': NOT a quiet machine' * loud}"]
