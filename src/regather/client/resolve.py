"""From what the user names - a manifest, servers, fragments - to a layout and its sources."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from regather.digest import piece_hash
from regather.errors import (
    NotEnoughSourcesError,
    RegatherError,
    TransportError,
    UsageError,
    VerificationError,
)
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.model import Fragment, Layout, Source, piece_size_for
from regather.transport import Failure, HttpConnection, HttpOptions, RequestFailed, is_url
from regather.units import MAX_SIZE

DEFAULT_NAME = "recombined_large_file.dat"
"""What a list of plain fragments is recombined to."""
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}(/.*)?")
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/]*|[^/]*:[^/]*)@")
_PROBES = 16
_RETRY_PAUSE = 0.3
_MOST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """What to download, from where."""

    name: str
    layout: Layout
    sources: tuple[Source, ...]
    identity: bytes
    """Tells partial downloads of different content apart."""
    digest: str
    """Identity of the file in hexadecimal; empty where there are no hashes to verify with."""


def load_manifest(source: str, options: HttpOptions) -> tuple[Manifest, str]:
    """Read a manifest from a path or URL; returns it and the base of its folder.

    Raises UsageError, ManifestError or TransportError.
    """
    if is_url(source):
        connection = HttpConnection(options)
        try:
            data, where = connection.fetch(source, MAX_MANIFEST_BYTES)
        except RequestFailed as error:
            raise TransportError(
                f"cannot get the manifest: {error.what}", help="check the URL and the server"
            ) from None
        finally:
            connection.close()
        return Manifest.from_bytes(data, source), where.rpartition("/")[0] + "/"
    path = Path(source)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(f"{source}: not a regular file", help="name a manifest")
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{source}: {(error.strerror or str(error)).lower()}",
            help="name a manifest (a file NAME.regather.json, or its URL)",
        ) from None
    return Manifest.from_bytes(data, source), str(path.parent)


def resolve_manifest(
    source: str, servers: Sequence[str], options: HttpOptions, digest: str = ""
) -> Target:
    """Find out what a manifest describes and where its fragments may be.

    Sources are those of the manifest, ``servers``, and the manifest's own folder: always where it
    came by URL, and where it is local only if nothing else is named.
    """
    source = with_scheme(source)
    manifest, folder = load_manifest(source, options)
    identity = manifest.digest
    if digest and digest.lower() != identity:
        raise VerificationError(
            f"{source}: its digest is {identity}, not the one asked for",
            help="do not use it, or ask its publisher for the right digest",
        )
    layout = manifest.layout
    sources = sources_of(source, manifest, folder, servers)
    if not sources:
        raise NotEnoughSourcesError(
            f"{source}: names no server, and its folder holds no fragments",
            help="say where the fragments are: --server URL, once for each",
        )
    return Target(manifest.name, layout, sources, bytes.fromhex(identity), identity)


def sources_of(
    source: str, manifest: Manifest, folder: str, servers: Sequence[str]
) -> tuple[Source, ...]:
    """Where the fragments of a manifest may be, fragments counted by position.

    ``source`` is its path or URL, ``folder`` the base of its folder. See resolve_manifest.
    """
    layout = manifest.layout
    sources = {s.url: _by_position(s, layout) for s in manifest.sources}
    for server in servers:
        base = base_url(server)
        sources.setdefault(base, Source(base))
    if is_url(source):
        sources.setdefault(folder, Source(folder))
    elif not sources:
        for path in local_folders(folder, layout):
            sources.setdefault(path, Source(path))
    return tuple(sources.values())


def _by_position(source: Source, layout: Layout) -> Source:
    """The source with fragments counted as the planner does: by position, from 0."""
    if source.fragments is None:
        return source
    held = (p for p, f in enumerate(layout.fragments) if f.index in source.fragments)
    return Source(source.url, frozenset(held))


def local_folders(folder: str, layout: Layout) -> list[str]:
    """The folder itself and its ``server*`` folders, as far as they hold fragments."""
    names = [f.name for f in layout.fragments]
    candidates = [Path(folder), *sorted(Path(folder).glob("server*/"))]
    return [str(path) + "/" for path in candidates if any(os.path.isfile(path / n) for n in names)]


def base_url(server: str) -> str:
    """A source as the user names it (URL, host:port, folder), as a base to add names to."""
    url = with_scheme(server)
    if is_url(url):
        parts = _checked_url(url)
        if parts.query or parts.fragment:
            raise UsageError(f"not a base URL: {server!r}", help="give it without query or #")
    elif not os.path.isdir(url):
        raise UsageError(
            f"{server}: no such folder", help="give a URL, HOST:PORT or a folder with fragments"
        )
    return url if url.endswith("/") else url + "/"


def with_scheme(text: str) -> str:
    """Add ``http://`` to a bare ``host:port/path``; leave URLs and paths alone.

    Raises UsageError where a password is in it: it would end up in logs, reports and process lists.
    """
    if _LOGIN.match(text) and not os.path.exists(text):
        host = text.partition("://")[2] or text
        host = host.partition("/")[0].rpartition("@")[2]
        raise UsageError(
            f"the address of {host} has a user name or password in it",
            help=f"leave that out and use --token {host}=FILE, or ~/.netrc",
        )
    if "://" not in text and not os.path.exists(text) and _HOST_AND_PORT.fullmatch(text):
        return f"http://{text}"
    return text


def _checked_url(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        url.encode()
        if host:
            host.encode("idna")
    except ValueError as error:
        raise UsageError(f"not a URL: {url!r} ({error})") from None
    if not host:
        raise UsageError(f"not a URL: {url!r} (no host)")
    return parts


# -- plain fragments --------------------------------------------------------------------------


def resolve_fragments(fragments: Sequence[str], options: HttpOptions, retries: int) -> Target:
    """Make a layout of plain fragments, given in order; asks each for its size.

    Nothing is known to verify with. Raises NotEnoughSourcesError naming those that cannot be had.
    """
    urls = [with_scheme(text) for text in fragments]
    for url in urls:
        if is_url(url):
            _checked_url(url)
        elif "://" in url:
            raise UsageError(f"not supported: {url!r}", help="use http:// or https://")

    from concurrent.futures import ThreadPoolExecutor

    ended = threading.Event()

    def probe(url: str) -> tuple[int, str] | RegatherError:
        return _probe(url, options, retries, ended)

    with ThreadPoolExecutor(min(_PROBES, len(urls))) as pool:
        try:
            answers = list(pool.map(probe, urls))
        finally:
            ended.set()  # where we were interrupted, nobody must wait for the rest
    failed = [a.what for a in answers if isinstance(a, RegatherError)]
    if failed:
        raise NotEnoughSourcesError(
            f"{len(failed)} of {len(urls)} fragments cannot be had: {failed[0]}",
            details=tuple(failed[1:]),
            missing=tuple(
                u for u, a in zip(urls, answers, strict=True) if isinstance(a, RegatherError)
            ),
            help="check the addresses and servers, then run it again",
        )
    sizes = [a for a in answers if not isinstance(a, RegatherError)]
    return _plain_target(urls, sizes)


def _plain_target(urls: Sequence[str], probed: Sequence[tuple[int, str]]) -> Target:
    size = sum(length for length, _ in probed)
    if size > MAX_SIZE:
        raise UsageError(f"the fragments claim {size} bytes in all", help="check their servers")
    layout_fragments: list[Fragment] = []
    sources: list[Source] = []
    offset = 0
    for position, (url, (length, validator)) in enumerate(zip(urls, probed, strict=True)):
        name = url.rpartition("/")[2] or url
        layout_fragments.append(Fragment(position + 1, name, offset, length))
        sources.append(
            Source(
                url,
                frozenset((position,)),
                objects={position + 1: url},
                validators={position + 1: validator} if validator else {},
            )
        )
        offset += length
    layout = Layout(size, piece_size_for(size), tuple(layout_fragments))
    # Another list of fragments, or another version of one, must not continue this partial.
    seen = repr(list(zip(urls, probed, strict=True)))
    return Target(
        DEFAULT_NAME, layout, tuple(sources), piece_hash(b"plain fragments\0" + seen.encode()), ""
    )


def _probe(
    url: str, options: HttpOptions, retries: int, ended: threading.Event
) -> tuple[int, str] | RegatherError:
    """Size in bytes and validator of one fragment, or why it cannot be had."""
    if not is_url(url):
        try:
            status = os.stat(url)
        except OSError as error:
            return UsageError(f"{url}: {(error.strerror or str(error)).lower()}")
        if not os.path.isfile(url):
            return UsageError(f"{url}: not a file")
        return status.st_size, f"{status.st_mtime_ns}"
    last: RegatherError | None = None
    for attempt in range(retries + 1):
        connection = HttpConnection(options)
        try:
            return connection.probe(url)
        except RequestFailed as error:
            last = error
            if error.failure.lasting:
                break
            pause = min(_RETRY_PAUSE * 2**attempt, 5.0)
            if error.failure is Failure.BUSY and error.retry_after is not None:
                pause = max(pause, min(error.retry_after, _MOST_PAUSE))
            if attempt < retries and ended.wait(pause):
                break
        finally:
            connection.close()
    assert last is not None
    return last
