"""The planner: which piece to ask of which source next.

It decides from events and a passed-in clock and does nothing else: no socket, file, thread,
clock or log. That is enforced by the layer check, and it is why tests run it in virtual time.
"""

from __future__ import annotations

from regather.planner.core import Planner
from regather.planner.events import (
    Action,
    AddSource,
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Evicted,
    Failed,
    Finished,
    GiveUp,
    NeedSources,
    NoMoreSources,
    PieceCorrupt,
    PieceDone,
    Progress,
    RangeIgnored,
    Release,
    RemoveSource,
    Restart,
    Start,
    Tick,
    Trim,
    Unavailable,
    Want,
)
from regather.planner.health import Health
from regather.planner.options import Options

__all__ = [
    "Action",
    "AddSource",
    "Answered",
    "Begin",
    "Blame",
    "Cancel",
    "Cancelled",
    "Decode",
    "DecodeFailed",
    "Decoded",
    "Event",
    "Evicted",
    "Failed",
    "Finished",
    "GiveUp",
    "Health",
    "NeedSources",
    "NoMoreSources",
    "Options",
    "PieceCorrupt",
    "PieceDone",
    "Planner",
    "Progress",
    "RangeIgnored",
    "Release",
    "RemoveSource",
    "Restart",
    "Start",
    "Tick",
    "Trim",
    "Unavailable",
    "Want",
]
