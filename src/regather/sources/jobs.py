"""What one download is, before anything was asked; and what several are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from regather.checksum import Checksum, parse_checksum
from regather.errors import UsageError
from regather.names import MANIFEST_SUFFIX
from regather.sources.addresses import Address

if TYPE_CHECKING:
    from regather.metalink.values import MetalinkFile
    from regather.sources.mirror_survey import MirrorInfo

_DIGEST = "[0-9a-fA-F]{64}"
_MOST_LINES = 1_000_000


class DownloadJob(Struct, frozen=True):
    """One file to download. Raises UsageError where it contradicts itself."""

    sources: tuple[str, ...] = ()
    """A manifest, or places of the same one; a metalink; or URLs of mirrors of one whole file."""
    dest: Path | None = None
    """A file or an existing folder; None: the file's own name, in the current folder. For a
    published folder: what it becomes."""
    fragments: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    digest: str = ""
    force: bool = False
    checksums: tuple[Checksum, ...] = ()
    location: str = ""
    """The country whose mirrors are preferred."""
    seeds: tuple[str, ...] = ()
    """Old versions of the file or folder, of which what is still the same is taken."""
    select: tuple[str, ...] = ()
    """The wanted files of a metalink, by name, or of a folder, by path or pattern; none: all."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are left out of those."""
    address: Address | None = None
    """Its one source, where that was read already."""
    into: bool = False
    """Whether ``dest`` is a folder of many downloads: a published folder goes into it by name."""
    file: MetalinkFile | None = None
    """What a metalink says of it, where its source is one that was read already."""
    seen: tuple[MirrorInfo, ...] = ()
    """What was seen of its sources already."""

    def __post_init__(self) -> None:
        if not self.sources and not self.fragments:
            raise UsageError("give either a manifest or a list of fragments")
        if self.digest:
            _check_digest(self.digest)
        if not self.sources and (self.servers or self.digest):
            raise UsageError(
                "servers and a digest need a manifest",
                help="plain fragments have no manifest with a digest: use --sha256 or --checksum",
            )
        if len(self.sources) > 1 and self.needs_manifest and not self.copies_of_manifest:
            raise UsageError(
                "several sources are mirrors of one whole file: --server, --fragment and "
                "--digest cannot be used with them",
                help="give manifests only, or mirrors only",
            )

    @property
    def copies_of_manifest(self) -> bool:
        """Whether it has several sources, and each is the place of a manifest by its name."""
        names = [re.split("[?#]", source, maxsplit=1)[0] for source in self.sources]
        return len(names) > 1 and all(name.endswith(MANIFEST_SUFFIX) for name in names)

    @property
    def needs_manifest(self) -> bool:
        """Whether its source can only be a manifest."""
        return bool(self.servers or self.digest or self.fragments)


def _check_digest(text: str) -> None:
    if not re.fullmatch(_DIGEST, text):
        raise UsageError(
            f"not a digest: {text!r}", help="give all 64 hexadecimal digits that split printed"
        )


def read_list(
    text: str, where: str, folder: Path | None, *, force: bool = False
) -> list[DownloadJob]:
    """Read a list of downloads: ``where`` names it in messages, ``folder`` is where to put them.

    A line is one download: its URLs, separated by tabs or spaces. Lines that begin with space
    belong to the one before: ``out=NAME``, ``checksum=ALGO=HEX``, ``digest=HEX``. ``#`` begins
    a comment line.
    Raises UsageError.
    """
    jobs: list[DownloadJob] = []
    entry: list[str] = []
    options: dict[str, list[str]] = {}

    def end() -> None:
        if entry:
            jobs.append(_job(entry, options, folder, force=force))

    lines = text.splitlines()
    if len(lines) > _MOST_LINES:
        raise UsageError(f"{where}: more than {_MOST_LINES} lines")
    for number, line in enumerate(lines, 1):
        try:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if line[0] in " \t":
                if not entry:
                    raise UsageError("an option before the first URL")
                _option(line.strip(), options)
            else:
                end()
                entry, options = line.split(), {}
        except UsageError as error:
            raise UsageError(f"{where}, line {number}: {error.what}", help=error.help) from None
    end()
    if not jobs:
        raise UsageError(f"{where}: contains no URL", help="write one download per line")
    return jobs


def _option(text: str, options: dict[str, list[str]]) -> None:
    from regather.metalink.parts import path_flaw

    name, equals, value = text.partition("=")
    if not equals or name not in ("out", "checksum", "digest"):
        raise UsageError(
            f"unknown option: {text[:60]!r}",
            help="options are out=NAME, checksum=ALGO=HEX and digest=HEX",
        )
    if name == "checksum":
        parse_checksum(value)
    elif name == "digest":
        _check_digest(value)
    elif flaw := path_flaw(value):
        raise UsageError(f"out={value[:60]}: {flaw}", help="give a relative name without ..")
    options.setdefault(name, []).append(value)


def _job(
    urls: Sequence[str], options: dict[str, list[str]], folder: Path | None, *, force: bool
) -> DownloadJob:
    out = options.get("out")
    return DownloadJob(
        tuple(urls),
        (folder or Path()) / out[-1] if out else folder,
        digest=options.get("digest", [""])[-1],
        checksums=tuple(map(parse_checksum, options.get("checksum", ()))),
        force=force,
        into=not out,
    )
