"""``regather://`` for fsspec, and so for pandas, pyarrow, duckdb and whatever else knows fsspec.

    fsspec.open("regather://https://example.org/table.parquet.regather.json", servers=[...])

What follows the scheme is the manifest, as a URL or path; it stands for the file that it describes.
Its ``.regather.json`` may be left out. Needs the extra ``regather[fsspec]``; fsspec itself finds
this module by its entry point.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, ClassVar

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.spec import AbstractFileSystem
from msgspec.structs import asdict

from regather.errors import RegatherError
from regather.names import texts
from regather.reading.buffered import BufferedFile, OpenedFile
from regather.reading.fsspec_options import check_open, split_options
from regather.reading.lookup import Known, Lookup
from regather.reading.oserrors import as_os_errors, only_read
from regather.reading.paths import entries, parent_of, stripped, stripped_all
from regather.reading.recipe import CACHE_SIZE, READ_AHEAD, Recipe
from regather.sources.addresses import is_base
from regather.sources.settings import Settings
from regather.transport import HostOptions, is_url


class _Instances(type(AbstractFileSystem)):  # type: ignore[misc]  # fsspec has no types
    """fsspec keeps an instance for options that look alike: nothing of them may be hidden then."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if hosts := options.get("hosts"):
            options["hosts"] = {
                host: asdict(given) if isinstance(given, HostOptions) else given
                for host, given in hosts.items()
            }
        return super().__call__(*args, **options)


class RegatherFileSystem(AbstractFileSystem, metaclass=_Instances):  # type: ignore[misc]
    """Hosted files, each named by its manifest; read-only.

    A folder of this machine lists the manifests and the folders in it. Manifests are read once and
    remembered until ``invalidate_cache``. All errors are OSErrors: io.UnsupportedOperation of what
    would write.
    """

    protocol: ClassVar[str] = "regather"
    root_marker = "/"

    def __init__(
        self,
        *,
        servers: str | Sequence[str] = (),
        digest: str = "",
        cache_size: int = CACHE_SIZE,
        read_ahead: int = READ_AHEAD,
        **others: Any,
    ) -> None:
        """The options are those of ``regather.open`` and of ``regather.Settings``.

        Besides them, ``default_cache_type`` and ``default_block_size`` are those of ``open``, and
        what fsspec has for all file systems changes nothing. Raises UsageError for any other.
        """
        with as_os_errors():
            settings, self._buffering, fsspecs = split_options(others)
            super().__init__(**fsspecs)
            self._settings = Settings(**settings)
            self._lookup = Lookup(self._settings, digest, texts(servers))
        self._cache_size = cache_size
        self._read_ahead = read_ahead

    # -- names ----------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: str | os.PathLike[str] | list[str]) -> Any:
        return [stripped(p) for p in path] if isinstance(path, list) else stripped(path)

    @classmethod
    def _parent(cls, path: str) -> str:
        return parent_of(stripped(path))

    # -- what there is --------------------------------------------------------------------

    def _known(self, path: str) -> Known:
        """What a manifest says. Raises FileNotFoundError, or as ``regather.open`` does."""
        return self._lookup.get(stripped(path))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget a manifest, or all."""
        self._lookup.forget(None if path is None else stripped(path))
        super().invalidate_cache(path)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Name, size in bytes, type, and for a file its own name and digest."""
        path = stripped(path)
        if not is_url(path) and os.path.isdir(path):
            return {"name": path, "size": 0, "type": "directory"}
        return self._info(path)

    def _info(self, path: str) -> dict[str, Any]:
        manifest = self._known(path).manifest
        return {
            "name": path,
            "size": manifest.size,
            "type": "file",
            "file": manifest.name,
            "digest": manifest.digest,
        }

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """The manifests and folders in a local folder, or the file that a manifest stands for.

        What has a manifest's name and cannot be read is listed too, with None for its size and the
        reason as ``error``: whoever copies the folder shall hear of it.
        """
        path = stripped(path)
        if is_url(path) or not os.path.isdir(path):
            infos = [self.info(path)]
            return infos if detail else [info["name"] for info in infos]
        found = entries(path)
        if not detail:
            return [name for name, _ in found]
        return [
            {"name": name, "size": 0, "type": "directory"} if folder else self._info_or_flaw(name)
            for name, folder in found
        ]

    def _info_or_flaw(self, path: str) -> dict[str, Any]:
        try:
            return self._info(path)
        except (RegatherError, OSError) as error:
            return {"name": path, "size": None, "type": "file", "error": str(error)}

    def walk(self, path: str, *args: Any, **how: Any) -> Iterator[Any]:
        """As everywhere, but of a server, which cannot be listed, it raises: it is not empty."""
        path = stripped(path)
        if is_url(path) and is_base(path):
            self.info(path)
        yield from super().walk(path, *args, **how)

    def glob(self, path: str | os.PathLike[str], maxdepth: int | None = None, **how: Any) -> Any:
        """As everywhere, but a URL is no pattern: nothing can be listed there."""
        path = os.fspath(path)
        path = path if path.endswith("/") and not is_url(stripped(path)) else stripped(path)
        if not is_url(path):
            return super().glob(path, maxdepth=maxdepth, **how)
        found = {path: self.info(path)} if self.exists(path) else {}
        return found if how.get("detail") else list(found)

    def expand_path(
        self,
        path: str | os.PathLike[str] | Iterable[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        **how: Any,
    ) -> list[str]:
        """As everywhere, but a URL is no pattern, and a folder that cannot be read raises."""
        paths = stripped_all(path)
        urls = {p for p in paths if is_url(p)}
        others = [p for p in paths if p not in urls]
        if urls and not others:
            return sorted(urls)
        found = super().expand_path(others, recursive=recursive, maxdepth=maxdepth, **how)
        if recursive and maxdepth is None:
            for folder in filter(os.path.isdir, found):
                os.scandir(folder).close()  # fsspec passes over the error
        return sorted(urls.union(found))

    def get(
        self,
        rpath: str | list[str],
        lpath: str | list[str],
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **how: Any,
    ) -> None:
        """Copy files, or folders of them, to local paths."""
        if isinstance(rpath, str) and isinstance(lpath, str) and is_url(url := stripped(rpath)):
            inside = lpath.endswith("/") or os.path.isdir(lpath)
            rpath, lpath = [url], [os.path.join(lpath, url.rpartition("/")[2]) if inside else lpath]
        super().get(rpath, lpath, recursive, callback, maxdepth, **how)

    def ukey(self, path: str) -> str:
        """The digest: it changes if and only if the content does."""
        return self._known(path).manifest.digest

    def checksum(self, path: str) -> int:
        """A number of the digest."""
        return int(self.ukey(path), 16)

    def created(self, path: str) -> datetime:
        """When the manifest was made. Raises NotImplementedError where it does not tell."""
        made = self._known(path).manifest.created
        if not made:
            raise NotImplementedError(f"{path}: its manifest has no creation time")
        return datetime.fromisoformat(made)

    def modified(self, path: str) -> datetime:
        """When its manifest was read: until that is read again, the file does not change."""
        return self._known(path).read

    # -- reading --------------------------------------------------------------------------

    def open(self, path: str, mode: str = "rb", compression: str | None = None, **how: Any) -> Any:
        """Open for reading; ``compression="infer"`` goes by the name of the file itself."""
        if compression == "infer":
            from fsspec.utils import infer_compression

            compression = infer_compression(self._known(path).manifest.file_name)
        return super().open(path, mode, compression=compression, **how)

    def _open(self, path: str, mode: str = "rb", **how: Any) -> OpenedFile | BufferedFile:
        path = stripped(path)
        if mode != "rb":
            raise only_read(path)
        with as_os_errors():
            check_open(how)
            buffering = self._buffering.of(how)
            recipe = Recipe(
                self._lookup.target(path),
                self._settings,
                int(how.get("cache_size", self._cache_size)),
                int(how.get("read_ahead", self._read_ahead)),
            )
            file = OpenedFile(recipe, 0, self, path)
        return BufferedFile(file, buffering) if buffering.cache_type else file

    def mkdir(self, path: str, *_: Any, **__: Any) -> None:
        """Raise io.UnsupportedOperation, as all that would write."""
        raise only_read(stripped(path))

    rmdir = rm_file = cp_file = mkdir

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """The same, where there is no such folder already."""
        if not (exist_ok and self.isdir(path)):
            self.mkdir(path)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **how: Any
    ) -> bytes:
        """The bytes from ``start`` up to ``end``, which count from the end where negative."""
        with self._plain(path, how) as file:
            return file.read_ranges([_range(start, end, file.size)])[0]

    def _plain(self, path: str, how: dict[str, Any]) -> OpenedFile:
        """Open for single reads: a cache of fsspec's would gain nothing."""
        file = self._open(path, **{**how, "cache_type": ""})
        assert isinstance(file, OpenedFile)
        return file

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **how: Any,
    ) -> list[bytes | Exception]:
        """Many ranges; those of one file are fetched together, each piece once.

        ``max_gap`` changes nothing, for whole pieces are fetched anyway. With ``on_error``
        "return", an error stands in the place of the bytes.
        """
        count = len(paths)
        firsts = starts if isinstance(starts, list) else [starts] * count
        lasts = ends if isinstance(ends, list) else [ends] * count
        if not len(firsts) == len(lasts) == count:
            raise ValueError("paths, starts and ends must have the same length")
        places: dict[str, list[int]] = {}
        for n, path in enumerate(paths):
            places.setdefault(stripped(path), []).append(n)
        out: list[bytes | Exception] = [b""] * count
        for path, numbers in places.items():
            try:
                with self._plain(path, how) as file:
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
