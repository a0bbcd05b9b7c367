"""The planner: which piece to ask of which source next.

It decides from events and a passed-in clock and does nothing else: no socket, file, thread,
clock or log. That is enforced by the layer check, and it is why tests run it in virtual time.
"""

from __future__ import annotations

from regather.planner.core import Options, Planner
from regather.planner.events import (
    Action,
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Failed,
    Finished,
    GiveUp,
    PieceCorrupt,
    PieceDone,
    Progress,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
)
from regather.planner.health import Health

__all__ = [
    "Action",
    "Answered",
    "Begin",
    "Blame",
    "Cancel",
    "Cancelled",
    "Decode",
    "DecodeFailed",
    "Decoded",
    "Event",
    "Failed",
    "Finished",
    "GiveUp",
    "Health",
    "Options",
    "PieceCorrupt",
    "PieceDone",
    "Planner",
    "Progress",
    "RangeIgnored",
    "Restart",
    "Start",
    "Tick",
    "Trim",
]
