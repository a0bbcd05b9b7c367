"""The figures, for a terminal, for a document and for a program."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bench.goals import GOALS, worst
from bench.model import Section

Pairs = Sequence[tuple[str, str]]


def as_text(machine: Pairs, sections: Sequence[Section], notes: Sequence[str]) -> str:
    """Return tables for a terminal."""
    width = max(len(name) for name, _ in machine)
    lines = [f"{name:{width}}  {text}" for name, text in machine]
    lines += ["", *notes] if notes else []
    for section in sections:
        lines += ["", section.title, "-" * len(section.title)]
        table = [section.headers, *section.rows]
        widths = [max(len(row[at]) for row in table) for at in range(len(section.headers))]
        for row in table:
            cells = [
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        lines += [f"  {note}" for note in section.notes]
    return "\n".join(lines) + "\n"


def as_markdown(machine: Pairs, sections: Sequence[Section], notes: Sequence[str]) -> str:
    """Return the same as Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [line(["", "machine"]), line(["---", "---"])]
    lines += [line(pair) for pair in machine]
    lines += [f"\n{note}" for note in notes]
    for section in sections:
        lines += ["", f"## {section.title}", "", line(section.headers)]
        lines.append(line(["---", *["---:"] * (len(section.headers) - 1)]))
        lines += [line(row) for row in section.rows]
        lines += [f"\n{note}" for note in section.notes]
    return "\n".join(lines) + "\n"


def as_json(machine: Pairs, sections: Sequence[Section], notes: Sequence[str]) -> str:
    """Return every single run, and the goals."""
    document = {
        "machine": dict(machine),
        "notes": list(notes),
        "sections": [
            {
                "title": section.title,
                "notes": section.notes,
                "metrics": section.metrics,
                "rows": [
                    {
                        "name": result.name,
                        "label": result.label,
                        "size": result.size,
                        "problem": result.problem or None,
                        "runs": [
                            {"wall": run.wall, "cpu": run.cpu, "peak_rss": run.peak_rss}
                            for run in result.samples
                        ],
                    }
                    for result in section.results
                ],
            }
            for section in sections
            if section.results
        ],
        "goals": [
            {
                "metric": goal.metric,
                "what": goal.what,
                "limit": goal.limit,
                "at_least": goal.at_least,
                "measured": value,
                "met": None if value is None else goal.met(value),
            }
            for goal in GOALS
            for value in (worst(sections, goal),)
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
