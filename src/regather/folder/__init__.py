"""What a folder is, as a manifest describes it: pure values, no I/O.

values    entries, and the identity of the whole
choosing  some of them, by pattern
checks    what no folder from elsewhere may be
packing   the one file that holds all its files, a tar, so that a folder is hosted like any file
"""

from __future__ import annotations

from regather.folder.checks import (
    MAX_ENTRIES,
    STAGING,
    EntryFlaw,
    check,
    flaw_of_path,
    flaw_of_target,
)
from regather.folder.choosing import chosen
from regather.folder.values import Entry, Folder

FolderEntry = Entry

__all__ = [
    "MAX_ENTRIES",
    "STAGING",
    "Entry",
    "EntryFlaw",
    "Folder",
    "FolderEntry",
    "check",
    "chosen",
    "flaw_of_path",
    "flaw_of_target",
]
