"""Measurements: CPU time of process trees, memory of a process, medians of repetitions."""

import dataclasses
import os
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.postgres import process_tree  # noqa: E402

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """CPU time of a process and all it has started, those that have ended included (they are in their parent's sums)."""
    total = 0
    for member in process_tree(pid):
        try:
            fields = pathlib.Path(f"/proc/{member}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        total += sum(int(number) for number in fields[11:15])  # utime stime cutime cstime
    return total * TICK_S


class Cpu:
    """CPU time that named process trees use from here on."""

    def __init__(self, **pids):
        self.pids = pids
        self.before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def used(self):
        """name → seconds since the start."""
        return {name: cpu_seconds(pid) - self.before[name] for name, pid in self.pids.items()}

    def each(self, units, **more):
        """name → µs of CPU a unit; more: seconds that were measured otherwise."""
        return {name: seconds / max(units, 1) * 1e6 for name, seconds in {**self.used(), **more}.items()}


def memory_mib(pid):
    """(resident now, at most so far) of one process, in MiB."""
    sizes = {}
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "VmHWM"):
            sizes[name] = int(value.split()[0]) / 1024
    return sizes["VmRSS"], sizes["VmHWM"]


def percentile(values, share):
    """The value that `share` (0 to 1) of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, int(share * len(ordered) + 0.999999) - 1))]


def histogram_percentile(before, after, name, share):
    """Upper bound of the bucket that holds this percentile of a metric's growth; None when nothing grew."""

    def buckets(metrics):
        return {dict(labels)["le"]: count for (series, labels), count in metrics.items() if series == f"{name}_bucket"}

    old = buckets(before)
    grown = sorted((float(bound), count - old.get(bound, 0)) for bound, count in buckets(after).items())
    if not grown or grown[-1][1] <= 0:
        return None
    return next(bound for bound, count in grown if count >= share * grown[-1][1])


def medians(samples):
    """Of dictionaries with the same keys: the median of each."""
    return {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}


@dataclasses.dataclass
class Row:
    """One figure. values: one of each repetition; the median is shown, the range is the noise."""

    what: str
    values: list
    unit: str
    ratio: float = None
    ratio_to: str = ""  # what the ratio is relative to
    target: str = ""
    cpu: dict = dataclasses.field(default_factory=dict)  # process → µs a unit
    more: str = ""  # shown in the row
    note: str = ""  # shown below the table

    @property
    def value(self):
        return statistics.median(self.values)

    def as_json(self):
        return {
            "what": self.what, "median": self.value, "values": self.values, "unit": self.unit, "ratio": self.ratio,
            "ratio_to": self.ratio_to, "target": self.target, "cpu_us": self.cpu, "more": self.more, "note": self.note,
        }  # fmt: skip
