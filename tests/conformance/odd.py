"""What is known of a file when it is fetched from an odd server, and how that goes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import regather
from tests.support.odd import odd_server

SIZE = (5 << 19) + 100
GROWN = SIZE - 100_000
NAME = "file.bin"
WAYS = ("manifest", "checksum", "bare")
_GROWN = "a file that grows, with tags", "a file that grows, without tags"
REFUSED = {
    ("without a length, to the end of the connection", "bare"): "neither the size nor the end",
    # It is another file than the one that is described.
    **{(kind, "manifest"): "must have" for kind in _GROWN},
    **{(kind, "checksum"): "must be" for kind in _GROWN},
    ("203 to all", "bare"): "modified in transit",
    ("201 to all", "bare"): "not the status of a file",
}
"""What is not to be had, by kind and way, and a part of what is told of it."""
QUICK = regather.Settings(retries=3, sync=False)


def fetch(kind: str, way: str, folder: Path, settings: regather.Settings = QUICK) -> str:
    """Fetch the file in ``folder`` from an odd server; ``right``, ``WRONG``, or why it was not."""
    content = (folder / NAME).read_bytes()
    got = folder / "got" / NAME
    got.parent.mkdir(exist_ok=True)
    got.unlink(missing_ok=True)
    with odd_server(kind, content) as server:
        try:
            _WAYS[way](server.url, folder, got, settings)
        except regather.RegatherError as error:
            return "WRONG" if got.exists() else "\n".join((error.what, *error.details))
    return outcome_of(kind, content, got)


def outcome_of(kind: str, content: bytes, got: Path) -> str:
    """``right`` or ``WRONG``: what was made of it, where it was called done."""
    received = got.read_bytes() if got.exists() else b""
    # Of a file that grows it is right what it was at some moment.
    grown = "grows" in kind and content.startswith(received) and len(received) >= GROWN
    return "right" if received == content or grown else "WRONG"


def manifest_of(folder: Path) -> Path:
    """The manifest of the file, as one fragment, which is not beside it."""
    manifest = folder / f"{NAME}.regather.json"
    if not manifest.exists():
        regather.split(folder / NAME, folder / "hosted", fragments=1)
        (folder / "hosted" / manifest.name).rename(manifest)
    return manifest


def _by_manifest(url: str, folder: Path, got: Path, settings: regather.Settings) -> None:
    regather.download(manifest_of(folder), got, servers=[url], settings=settings)


def _by_checksum(url: str, folder: Path, got: Path, settings: regather.Settings) -> None:
    checksum = f"sha256:{hashlib.sha256((folder / NAME).read_bytes()).hexdigest()}"
    regather.download(url + NAME, got, checksum=checksum, settings=settings)


def _bare(url: str, folder: Path, got: Path, settings: regather.Settings) -> None:
    regather.download(url + NAME, got, settings=settings)


_WAYS: dict[str, Callable[[str, Path, Path, regather.Settings], None]] = {
    "manifest": _by_manifest,
    "checksum": _by_checksum,
    "bare": _bare,
}
