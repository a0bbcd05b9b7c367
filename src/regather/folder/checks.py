"""What no folder from elsewhere may be: nothing of it may lead out of where it is put."""

from __future__ import annotations

import re

from regather.folder.values import Entry, Folder
from regather.names import MAX_NAME_BYTES, flaw_of

MAX_ENTRIES = 500_000
MAX_PATH_BYTES = 4000
"""Less than what systems bear, so that it can be put below some other folder."""
MAX_DEPTH = 200
STAGING = ".regather-part"
"""Where a download keeps what is not whole yet, in the folder itself: no entry may be called so."""

_PLAIN = re.compile(r"[^\x00-\x1f\x7f-\x9f\\/]+(?:/[^\x00-\x1f\x7f-\x9f\\/]+)*")
_DOTS = re.compile(r"(?:^|/)\.\.?(?:/|$)")


class EntryFlaw(ValueError):
    """What is wrong with a folder; ``at`` is the number of the entry, or -1."""

    def __init__(self, at: int, what: str) -> None:
        super().__init__(what)
        self.at = at


def flaw_of_path(path: str) -> str:
    """Say why ``path`` may not stand in a folder, or return an empty string."""
    if path.isascii() and len(path) <= MAX_NAME_BYTES and _PLAIN.fullmatch(path):
        if not _DOTS.search(path):  # nearly all; what follows tells what is wrong, and takes longer
            return _deep(path)
    elif path.startswith("/"):
        return "is absolute"
    for part in path.split("/"):
        if flaw := flaw_of(part):
            return flaw
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    return _deep(path)


def _deep(path: str) -> str:
    if path.count("/") >= MAX_DEPTH:
        return f"is more than {MAX_DEPTH} folders deep"
    first = path.partition("/")[0]
    return "is a name reserved for unfinished downloads" if first.lower() == STAGING else ""


def flaw_of_target(path: str, target: str) -> str:
    """Say why a link at ``path`` may not point to ``target``, or return an empty string.

    It may go up first, and then down through names: so it stays inside whatever other links it
    leads through, for each of them stays inside too, and no folder above a link is one itself.
    """
    if not target:
        return "points nowhere"
    if target.startswith("/"):
        return "points to an absolute path"
    parts = [part for part in target.split("/") if part not in ("", ".")]
    levels = next((n for n, part in enumerate(parts) if part != ".."), len(parts))
    if levels > path.count("/"):
        return "points out of the folder"
    for part in parts[levels:]:
        if part == "..":
            return "goes up (..) after a folder name"
        if flaw := flaw_of(part):
            return f"points to a name that {flaw}"
    return "" if len(target.encode()) <= MAX_PATH_BYTES else "points too far"


def check(folder: Folder, size: int) -> None:
    """Raise EntryFlaw unless the folder can be put anywhere; its packed file has ``size`` bytes."""
    if len(folder.entries) > MAX_ENTRIES:
        raise EntryFlaw(-1, f"has more than {MAX_ENTRIES} entries")
    kinds: dict[str, str] = {}
    end = 0
    for at, entry in enumerate(folder.entries):
        if flaw := flaw_of_path(entry.path) or _flaw_of(entry):
            raise EntryFlaw(at, flaw)
        if entry.path in kinds:
            raise EntryFlaw(at, "is listed twice")
        parent = entry.path.rpartition("/")[0]
        if parent and kinds.get(parent) != "folder":
            raise EntryFlaw(at, "its parent is not a folder, or comes after it")
        kinds[entry.path] = entry.kind
        if entry.size:
            if entry.offset < end:
                raise EntryFlaw(at, f"overlaps the previous file: its offset must be {end} or more")
            end = entry.end
            if end > size:
                raise EntryFlaw(at, f"ends at {end}, after the end at {size}")


def _flaw_of(entry: Entry) -> str:
    if entry.kind == "link":
        if entry.mode or entry.mtime is not None:
            return "is a link, and has a mode or a time"
        if flaw := flaw_of_target(entry.path, entry.target):
            return flaw
    elif entry.target:
        return f"is a {entry.kind}, and has a target"
    elif not entry.mode:
        return "has no mode"
    if entry.kind == "file":
        if entry.blake3 is None:
            return "has no blake3"
        return "is empty, and has an offset" if entry.offset and not entry.size else ""
    return f"is a {entry.kind}, and has content" if _content(entry) else ""


def _content(entry: Entry) -> bool:
    mtime = entry.kind == "folder" and entry.mtime is not None
    return bool(entry.size or entry.offset or entry.blake3 or mtime)
