"""What changed between two documents of the recorder: what a stream sends each second."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

_APART = frozenset(("servers", "files", "transfers", "events", "graphs"))
"""Parts of which only what changed is sent; the rest is small, and sent whole."""
_OF_FRAGMENT = ("index", "done", "computed", "cells")


def delta(before: Document, after: Document) -> Document | None:
    """What changed; None where all of ``after`` has to be sent."""
    if [_identity(file) for file in before["files"]] != [_identity(f) for f in after["files"]]:
        return None
    if len(before["servers"]) > len(after["servers"]):
        return None
    changed: Document = {key: value for key, value in after.items() if key not in _APART}
    old = {row["id"]: row for row in before["servers"]}
    changed["servers"] = [
        _without_spark(row) if row["id"] in old else row
        for row in after["servers"]
        if row["id"] not in old or _without_spark(row) != _without_spark(old[row["id"]])
    ]
    changed["files"] = [
        _file(one, other) for one, other in zip(before["files"], after["files"], strict=True)
    ]
    if before["transfers"] != after["transfers"]:
        changed["transfers"] = after["transfers"]
    changed["events"] = [row for row in after["events"] if row["seq"] > before["seq"]]
    changed["graphs"] = {
        kind: _points(before["graphs"][kind], after["graphs"][kind]) for kind in ("seconds", "tens")
    }
    return changed


def _identity(file: Document) -> tuple[object, ...]:
    return file["name"], file["size"], len(file["fragments"]), file["map_left_out"], file["link"]


def _without_spark(row: Document) -> Document:
    return {key: value for key, value in row.items() if key != "spark"}


def _file(before: Document, after: Document) -> Document:
    changed: Document = {
        "fragments": [
            {key: new[key] for key in _OF_FRAGMENT}
            for old, new in zip(before["fragments"], after["fragments"], strict=True)
            if old != new
        ]
    }
    for key in ("sets", "pieces"):
        if before[key] != after[key]:
            changed[key] = after[key]
    return changed


def _points(before: list[list[float]], after: list[list[float]]) -> list[list[float]]:
    last = before[-1][0] if before else -1
    return [point for point in after if point[0] > last]
