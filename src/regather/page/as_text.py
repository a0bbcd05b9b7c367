"""The state as plain text, for browsers without JavaScript."""

from __future__ import annotations

from typing import Any

from regather.units import counted, format_rate, format_size

Document = dict[str, Any]
_MOST_EVENTS = 20


def as_text(document: Document) -> str:
    """The same as the page says, without what is drawn."""
    rates = document["rates"]
    lines = [document["state"]["text"]]
    lines.append(f"In {format_rate(rates['in'])}, out {format_rate(rates['out'])}.")
    for one in document["transfers"]:
        percent = 100 * one["done"] // max(one["size"], 1)
        line = f"{one['name']}: {percent} % of {format_size(one['size'])}, {one['phase']}"
        lines.append(f"{line}, {format_rate(one['rate'])}")
    if document["servers"]:
        lines += ["", "Servers:"]
    for row in document["servers"]:
        line = f"{row['name']}: {row['text']}, {format_rate(row['rate'])}"
        if errors := sum(row["errors"].values()) + row["corrupt"]:
            line += f", {counted(errors, 'error')}"
        lines.append(line)
    for file in document["files"]:
        for one in file["sets"]:
            lines.append(f"{file['name']}, set {one['number']}: {one['text']}")
    if document["events"]:
        lines += ["", "Events, the latest first:"]
        lines += [row["text"] for row in document["events"][: -_MOST_EVENTS - 1 : -1]]
    return "\n".join(lines)
