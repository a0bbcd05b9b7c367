"""The figures of all scenarios, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from bench.simulate.runs import Result

HEADERS = (
    "scenario",
    "seeds",
    "limit s",
    "makespan/limit",
    "worst",
    "bound",
    "in vain",
    "worst",
    "tail 5 %",
    "worst",
    "over limit's",
    "requests",
    "decisions/s",
    "CPU s",
    "",
)


def cells(result: Result) -> tuple[str, ...]:
    """One line of the table. Figures are medians over the seeds, beside the worst ones."""
    planner = sum(run.planner_seconds for run in result.runs)
    simulator = sum(run.simulator_seconds for run in result.runs)
    decisions = sum(run.decisions for run in result.runs)
    missed = [figure.what for figure in result.figures if not figure.kept]
    if result.problems:
        missed = [result.problems[0]]
    return (
        result.name,
        str(len(result.runs)),
        f"{result.median(lambda r: r.limit):.2f}",
        f"{result.median(lambda r: r.ratio):.3f}",
        f"{result.worst(lambda r: r.ratio):.3f}",
        f"{result.scenario.makespan_bound:.2f}",
        f"{result.median(lambda r: r.in_vain):.2%}",
        f"{result.worst(lambda r: r.in_vain):.2%}",
        f"{result.median(lambda r: r.tail):.1%}",
        f"{result.worst(lambda r: r.tail):.1%}",
        f"{result.worst(lambda r: r.tail - r.least_tail):.1%}",
        f"{result.median(lambda r: r.requests):.0f}",
        f"{decisions / planner:.0f}" if planner else "-",
        f"{planner:.1f}+{simulator:.1f}",
        f"missed: {', '.join(missed)}" if missed else "kept",
    )


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal."""
    table = [HEADERS, *rows]
    widths = [max(len(row[at]) for row in table) for at in range(len(HEADERS))]
    lines = []
    for row in table:
        ends = {0, len(HEADERS) - 1}
        padded = (
            cell.ljust(width) if at in ends else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Result]) -> str:
    """Return every single run."""
    document = [
        {
            "scenario": result.name,
            "title": result.scenario.title,
            "kept": result.kept,
            "bounds": {figure.what: figure.bound for figure in result.figures},
            "runs": [asdict(run) | {"ratio": run.ratio} for run in result.runs],
        }
        for result in results
    ]
    return json.dumps(document, indent=2) + "\n"
