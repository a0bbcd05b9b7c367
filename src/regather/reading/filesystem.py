"""``regather://`` for fsspec, and so for pandas, pyarrow, duckdb and whatever else knows fsspec.

    fsspec.open("regather://https://example.org/table.parquet.regather.json", servers=[...])

What follows the scheme is the manifest, as a URL or path; it stands for the file that it describes.
Needs the extra ``regather[fsspec]``; fsspec itself finds this module by its entry point.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from fsspec.spec import AbstractFileSystem

from regather.client.resolve import Target
from regather.client.settings import Settings
from regather.errors import RegatherError, UsageError
from regather.names import MANIFEST_SUFFIX
from regather.reading.file import RemoteFile
from regather.reading.opening import CACHE_SIZE, READ_AHEAD, open_target, resolve
from regather.transport import Failure, RequestFailed, is_url

_SETTINGS = tuple(field.name for field in fields(Settings))


class RegatherFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Hosted files, each named by its manifest; read-only.

    A folder of this machine lists the manifests in it. Manifests are read once and remembered until
    ``invalidate_cache``.
    """

    protocol: ClassVar[str] = "regather"
    root_marker = ""

    def __init__(
        self,
        *,
        servers: Sequence[str] = (),
        digest: str = "",
        cache_size: int = CACHE_SIZE,
        read_ahead: int = READ_AHEAD,
        **others: Any,
    ) -> None:
        """The options are those of ``regather.open`` and of ``regather.Settings``."""
        own = {n: value for n in _SETTINGS if (value := others.pop(n, None)) is not None}
        super().__init__(**others)
        self._servers = tuple(servers)
        self._digest = digest
        self._settings = Settings(**own)
        self._cache_size = cache_size
        self._read_ahead = read_ahead
        self._targets: dict[str, tuple[Target, datetime]] = {}

    @classmethod
    def _strip_protocol(cls, path: str | os.PathLike[str] | list[str]) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        return os.fspath(path).removeprefix("regather://")

    def _target(self, path: str) -> Target:
        """What a manifest describes. Raises FileNotFoundError, or as ``regather.open`` does."""
        return self._look(path)[0]

    def _look(self, path: str) -> tuple[Target, datetime]:
        """What a manifest describes, and when it was read."""
        path = self._strip_protocol(path)
        found = self._targets.get(path)
        if found is None:
            if not is_url(path) and not os.path.isfile(path) and "://" not in path:
                raise FileNotFoundError(path)
            try:
                target = resolve(
                    path, servers=self._servers, digest=self._digest, settings=self._settings
                )
            except RegatherError as error:
                # Raised "from None" for the message, but the reason is still known.
                why = error.__context__
                if isinstance(why, RequestFailed) and why.failure is Failure.MISSING:
                    raise FileNotFoundError(f"{path}: {error.what}") from error
                raise
            found = self._targets[path] = target, datetime.now(UTC)
        return found

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget a manifest, or all."""
        if path is None:
            self._targets.clear()
        else:
            self._targets.pop(self._strip_protocol(path), None)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size in bytes, type, and for a file its own name and digest."""
        path = self._strip_protocol(path)
        if not is_url(path) and os.path.isdir(path):
            return {"name": path, "size": 0, "type": "directory"}
        target = self._target(path)
        return {
            "name": path,
            "size": target.layout.size,
            "type": "file",
            "file": target.name,
            "digest": target.digest,
        }

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The file that a manifest stands for, or those of the manifests in a local folder."""
        path = self._strip_protocol(path)
        if not is_url(path) and os.path.isdir(path):
            names = sorted(n for n in os.listdir(path) if n.endswith(MANIFEST_SUFFIX))
            infos = [self.info(os.path.join(path, name)) for name in names]
        else:
            infos = [self.info(path)]
        return infos if detail else [info["name"] for info in infos]

    def ukey(self, path: str) -> str:
        """The digest: it changes if and only if the content does."""
        return self._target(path).digest

    def checksum(self, path: str) -> int:
        """A number of the digest."""
        return int(self.ukey(path), 16)

    def modified(self, path: str) -> datetime:
        """When its manifest was read: until that is read again, the file does not change."""
        return self._look(path)[1]

    def _open(self, path: str, mode: str = "rb", **how: Any) -> RemoteFile:
        if mode != "rb":
            raise UsageError(f"{path}: cannot be opened with mode {mode!r}, only read")
        return open_target(
            self._target(path),
            self._settings,
            cache_size=int(how.get("cache_size", self._cache_size)),
            read_ahead=int(how.get("read_ahead", self._read_ahead)),
        )

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """The bytes from ``start`` up to ``end``, which count from the end where negative."""
        with self._open(path) as file:
            return file.read_ranges([_range(start, end, file.size)])[0]

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **_: Any,
    ) -> list[bytes | Exception]:
        """Many ranges; those of one file are fetched together, each piece once.

        ``max_gap`` changes nothing, for whole pieces are fetched anyway. With ``on_error``
        "return", an error stands in the place of the bytes.
        """
        count = len(paths)
        firsts = starts if isinstance(starts, list) else [starts] * count
        lasts = ends if isinstance(ends, list) else [ends] * count
        if not len(firsts) == len(lasts) == count:
            raise ValueError("paths, starts and ends must be equally many")
        places: dict[str, list[int]] = {}
        for n, path in enumerate(paths):
            places.setdefault(self._strip_protocol(path), []).append(n)
        out: list[bytes | Exception] = [b""] * count
        for path, numbers in places.items():
            try:
                with self._open(path) as file:
                    ranges = [_range(firsts[n], lasts[n], file.size) for n in numbers]
                    for n, data in zip(numbers, file.read_ranges(ranges), strict=True):
                        out[n] = data
            except (RegatherError, OSError, ValueError) as error:
                if on_error != "return":
                    raise
                for n in numbers:
                    out[n] = error
        return out


def _range(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """A slice's bounds, as positions in a file of ``size`` bytes."""
    first, last, _ = slice(start, end).indices(size)
    return first, last
