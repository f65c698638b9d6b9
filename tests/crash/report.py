"""The plan of the runs, and the matrix of their results."""

import collections
import random
import statistics

from .faults import FAULTS
from .points import REBUILD, STEPS


def cells(steps, faults):
    """Each fault at each step at which it can happen, and at a random moment."""
    return [
        (fault, step)
        for fault in faults
        for step in ("random", *STEPS, *REBUILD)
        if step in steps and (step == "random" or step in FAULTS[fault].steps)
    ]


def plan(seed, runs, steps, faults):
    """(number, fault, step, seed) of each run: each fault once, then each cell once, then random faults at random steps."""
    rng, all_cells = random.Random(seed), cells(steps, faults)
    rng.shuffle(all_cells)
    first = list({fault: (fault, step) for fault, step in all_cells}.values())
    order = first + [cell for cell in all_cells if cell not in first]
    while len(order) < runs:
        fault = rng.choice(sorted({fault for fault, _ in all_cells}))
        order.append(rng.choice([cell for cell in all_cells if cell[0] == fault]))
    return [(n, *cell, rng.randrange(2**31)) for n, cell in enumerate(order[:runs], 1)]


def cell_text(results):
    times = [r["recovered_s"] for r in results if "recovered_s" in r]
    bad = sum("error" in r for r in results)
    text = f"{len(results)}"
    if times:
        text += f" · {statistics.median(times):.1f} / {max(times):.1f}"
    return text + (f" · **{bad} bad**" if bad else "")


def table(results, rows, columns, key, head):
    by_cell = collections.defaultdict(list)
    for result in results:
        by_cell[key(result)].append(result)
    columns = [c for c in columns if any((r, c) in by_cell for r in rows)]
    lines = [f"| {head} | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        if any((row, c) in by_cell for c in columns):
            cells_of_row = [cell_text(by_cell[row, c]) if (row, c) in by_cell else "–" for c in columns]
            lines.append(f"| `{row}` | " + " | ".join(cells_of_row) + " |")
    return lines


def text(results, seed):
    """For each cell: runs, and seconds from the fault until all events sent before it were folded, median and maximum."""
    results = [r for r in results if r["number"] > 0]
    at_steps = [f for f, fault in FAULTS.items() if fault.steps]
    lines = [f"Seed {seed}. In each cell: runs · recovered in s, median / max.", ""]
    stepwise = [r for r in results if r["fault"] in at_steps]
    lines += table(stepwise, ("random", *STEPS, *REBUILD), at_steps, lambda r: (r["step"], r["fault"]), "step")
    others = [r for r in results if r["fault"] not in at_steps]
    lines += ["", "| fault, at any moment | runs · recovered |", "|---|---|"]
    for fault in FAULTS:
        mine = [r for r in others if r["fault"] == fault]
        lines += [f"| {fault} | {cell_text(mine)} |"] if mine else []
    times = [r["recovered_s"] for r in results if "recovered_s" in r] or [0]
    blocked = [r["blocked_s"] for r in results if "blocked_s" in r]
    taken_back = [r["lost_by_database"] for r in results if r.get("lost_by_database")]
    lines += ["", f"- {len(results)} runs, {sum('error' in r for r in results)} failed; "
              f"lost {sum(r['lost'] for r in results)}, doubled {sum(r['doubled'] for r in results)}; "
              f"{sum(r.get('rows', 0) for r in results):,} rows compared"]  # fmt: skip
    lines.append(f"- recovered in {statistics.median(times):.1f} s (median), {max(times):.1f} s (max)")
    audited = sum(r.get("cursor_changes", 0) for r in results)
    if audited:
        refused = sum(r.get("refused", 0) for r in results)
        lines.append(
            f"- {audited:,} cursor changes were committed, all by the owner and none of them a step back;"
            f" {refused} batches were refused by the fence or a revision"
        )
    if blocked:
        lines.append(
            f"- {len(blocked)} owners frozen and thawed after the next one's claim: that claim waited {statistics.median(blocked):.2f} s"
            f" (median), {max(blocked):.2f} s (max); {sum(r.get('order') == 'thawed before the claim' for r in results)} thawed before it"
        )
    if taken_back:
        lines.append(
            f"- {len(taken_back)} crashes of the database lost commits of {sum(taken_back):,} records, which were folded again"
        )
    return "\n".join(lines)
