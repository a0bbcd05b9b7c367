"""The files that the file system opens: as fsspec's own are, or read through a cache of its."""

from __future__ import annotations

import warnings
from inspect import signature
from typing import TYPE_CHECKING, Any

from fsspec.caching import caches
from fsspec.spec import AbstractBufferedFile

from regather.reading.file import RemoteFile
from regather.reading.fsspec_options import Buffering
from regather.reading.recipe import Recipe

if TYPE_CHECKING:
    from regather.reading.filesystem import RegatherFileSystem


class OpenedFile(RemoteFile):
    """A hosted file that knows its file system and its name there."""

    def __init__(self, recipe: Recipe, position: int, fs: RegatherFileSystem, path: str) -> None:
        super().__init__(recipe, position)
        self.fs = fs
        self.path = path
        self.blocksize = recipe.target.layout.piece_size
        """What is fetched at once, in bytes."""

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        kind, shared = super().__reduce__()
        return kind, (*shared, self.fs, self.path)

    @property
    def loc(self) -> int:
        """The position."""
        return self.tell()

    @property
    def full_name(self) -> str:
        """Its name with the protocol."""
        return str(self.fs.unstrip_protocol(self.path))

    @property
    def details(self) -> dict[str, Any]:
        """What the file system tells of it."""
        return self.fs.info(self.path)

    def info(self) -> dict[str, Any]:
        """The same."""
        return self.details


class BufferedFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """A file read through a cache of fsspec's, for ``blockcache::`` and ``cache_type``."""

    def __init__(self, file: OpenedFile, buffering: Buffering) -> None:
        self._file = file
        super().__init__(
            file.fs,
            file.path,
            "rb",
            buffering.block_size or "default",
            cache_type=buffering.cache_type,
            cache_options=_taken(buffering),
            size=file.size,
        )

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._file.pread(end - start, start)

    def close(self) -> None:
        """Free everything."""
        super().close()
        self._file.close()


def _taken(buffering: Buffering) -> dict[str, Any]:
    """The options that a cache has; a warning for others, which may be meant for another cache."""
    given = dict(buffering.cache_options or {})
    known = signature(caches[buffering.cache_type]).parameters
    for name in [n for n in given if n not in known]:
        warnings.warn(f"cache_type {buffering.cache_type!r} has no option {name!r}", stacklevel=2)
        del given[name]
    return given
