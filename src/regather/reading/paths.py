"""Names in the file system: URLs and paths of manifests, and what stands in local folders."""

from __future__ import annotations

import os
from collections.abc import Iterable

from regather.names import MANIFEST_SUFFIX
from regather.reading.oserrors import as_os_errors
from regather.sources.addresses import is_base, with_scheme
from regather.transport import is_url


def stripped(path: str | os.PathLike[str]) -> str:
    """A name without ``regather://``; a local one as an absolute path. Raises UsageError."""
    text = os.fspath(path).removeprefix("regather://").removeprefix("file://")
    with as_os_errors():
        text = with_scheme(text)
    foreign = "://" in text and not os.path.exists(text)
    return text if is_url(text) or foreign else os.path.abspath(os.path.expanduser(text))


def stripped_all(paths: str | os.PathLike[str] | Iterable[str]) -> list[str]:
    """The same for one name or several."""
    return [stripped(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]


def parent_of(path: str) -> str:
    """The folder of a name without protocol."""
    return path.rpartition("/")[0] if is_url(path) else os.path.dirname(path)


def candidates(path: str) -> list[str]:
    """The manifests that a name may stand for, likely ones first: its suffix may be left out."""
    if path.endswith((".json", "/")) or (is_url(path) and ("?" in path or is_base(path))):
        return [path]
    return [path + MANIFEST_SUFFIX, path]


def entries(folder: str) -> list[tuple[str, bool]]:
    """The manifests and folders in a local folder: paths, and whether it is a folder.

    A link to a folder above is left out: to walk into it would never end.
    """
    found = []
    with os.scandir(folder) as there:
        for entry in there:
            if _is_folder(entry):
                if not (entry.is_symlink() and _above(entry.path)):
                    found.append((entry.path, True))
            elif entry.name.endswith(MANIFEST_SUFFIX):
                found.append((entry.path, False))
    return sorted(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _above(link: str) -> bool:
    """Whether a link leads to a folder that it lies in."""
    target = os.path.realpath(link)
    return os.path.commonpath((target, os.path.realpath(os.path.dirname(link)))) == target
