"""Looking after what is hosted: check finds what is missing or corrupt, repair re-creates it.

sources            what a manifest names, and what each source should hold
access             one source: asked, read and written with patience; threads
report             what is found and told
judge, survival    pure: from findings on copies to a verdict on sets and file
check              asks and reads

Memory: one buffer a source when checking, one row when repairing, whatever the size of the file.
"""

from __future__ import annotations

from regather.upkeep.check import check
from regather.upkeep.report import (
    CheckReport,
    Finding,
    Lost,
    RepairReport,
    Restored,
    SetHealth,
    State,
    Unwritten,
)

__all__ = [
    "CheckReport",
    "Finding",
    "Lost",
    "RepairReport",
    "Restored",
    "SetHealth",
    "State",
    "Unwritten",
    "check",
]
