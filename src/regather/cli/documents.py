"""What ``--json`` prints: one document a line, on standard output."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any


def print_json(report: Any = None, *, event: str = "", **fields: Any) -> None:
    """Print a document: its ``event``, the fields of a dataclass, and further ones."""
    document = {"event": event} if event else {}
    document |= asdict(report) if report is not None else {}
    print(json.dumps(document | fields), flush=True)
