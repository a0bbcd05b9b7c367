"""What ``--json`` prints: one document a line, on standard output."""

from __future__ import annotations

import sys
from typing import Any


def print_json(report: Any = None, *, event: str = "", **fields: Any) -> None:
    """Print a document: its ``event``, the fields of a report, and further ones.

    At once: ``print`` writes the end of a line by itself. A signal that came before it would let
    the next document begin on the same line.
    """
    import json

    from msgspec import to_builtins

    document = {"event": event} if event else {}
    document |= to_builtins(report) if report is not None else {}
    sys.stdout.write(json.dumps(document | fields) + "\n")
    sys.stdout.flush()
