"""The sha-256 of a file whose manifest lies beside it."""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from regather.manifest import MAX_MANIFEST_BYTES
from regather.names import MANIFEST_SUFFIX
from regather.server.files import OpenFile, Root
from regather.server.preconditions import Version
from regather.server.threads import in_thread

_REMEMBERED = 1000
"""Manifests whose hashes are kept."""
_SHA256 = re.compile("[0-9a-f]{64}")


class _Described(msgspec.Struct):
    """What is read of a manifest."""

    size: int = -1
    sha256: str | None = None


class KnownHashes:
    """Looks hashes up in manifests; a manifest that has not changed is read once."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._known: OrderedDict[str, tuple[Version, _Described]] = OrderedDict()

    async def sha256_of(self, target: str, file: OpenFile) -> str:
        """The hash of a file at a path of a request; empty where no manifest has it.

        A manifest that is older than the file, or of a file of another size, does not count.
        """
        try:
            manifest = self._root.open(target + MANIFEST_SUFFIX)
        except OSError:
            return ""
        try:
            described = await self._described(target, manifest)
        finally:
            manifest.close()
        is_older = (manifest.version.modified_ns or 0) < (file.version.modified_ns or 0)
        if is_older or described.size != file.size:
            return ""
        sha256 = described.sha256 or ""
        return sha256 if _SHA256.fullmatch(sha256) else ""

    async def _described(self, target: str, manifest: OpenFile) -> _Described:
        version, described = self._known.pop(target, (None, _Described()))
        if version != manifest.version:
            described = await in_thread(_read, manifest.descriptor)
        self._known[target] = (manifest.version, described)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return described


def _read(descriptor: int) -> _Described:
    """What a manifest says; nothing where it is none, or cannot be read."""
    try:
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(MAX_MANIFEST_BYTES)
        return msgspec.json.decode(data, type=_Described)
    except (OSError, msgspec.MsgspecError):
        return _Described()
