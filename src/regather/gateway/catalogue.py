"""Which files a gateway has: by name and by digest, looked at again when their places change."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from regather.errors import RegatherError, TransportError, UsageError
from regather.gateway.hosted import HostedFile
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.names import MANIFEST_SUFFIX, signature_path
from regather.reading.opening import load, target_at
from regather.sources.addresses import Address, address_of
from regather.sources.download_target import DownloadTarget
from regather.sources.manifests import LoadedManifest
from regather.sources.probing import Prober
from regather.transport import RequestFailed

_MOST_RETIRED = 16
"""Files that are served by their digest although their name means another one by now."""
_WORD = re.compile(r"[^\s\"'<>/?#&=]+")

_log = logging.getLogger("regather.gateway")


class FoundManifest(Struct, frozen=True):
    """A manifest that was read, and by what to tell that it has changed."""

    state: tuple[int, ...]
    loaded: LoadedManifest
    target: DownloadTarget

    @property
    def manifest(self) -> Manifest:
        """What was read."""
        return self.loaded.manifest


class Catalogue:
    """Files by name and by digest. ``scan`` may wait; all else is for the event loop."""

    def __init__(
        self,
        places: Sequence[str],
        servers: Sequence[str],
        digest: str,
        prober: Prober,
        make: Callable[[Manifest, DownloadTarget], HostedFile],
    ) -> None:
        """``places`` are manifests and folders of manifests: paths or URLs. Raises UsageError."""
        self._places = [address_of(place) for place in places]
        self._servers = servers
        self._digest = digest
        self._prober = prober
        self._make = make
        self._found: dict[str, FoundManifest] = {}
        self._inside: dict[str, list[Address]] = {}
        """By folder: the manifests that were in it when it could last be read."""
        self._said: set[tuple[str, str]] = set()
        self._complaints: set[tuple[str, str]] = set()
        """Where and what: those of the look before, which were logged, and of this one."""
        self.by_name: dict[str, HostedFile] = {}
        self.by_digest: dict[str, HostedFile] = {}
        self.fragments: dict[str, HostedFile | None] = {}
        """Which file a fragment is of; None where several have one of that name."""
        self._retired: list[HostedFile] = []
        if digest and (len(self._places) > 1 or any(map(_is_folder, self._places))):
            raise UsageError("--digest is that of one manifest", help="give that manifest alone")

    # -- looking, in a thread -------------------------------------------------------------

    def scan(self, *, first: bool = False) -> dict[str, FoundManifest]:
        """Read what is new or has changed, by its path or URL.

        Raises what a manifest that was named is refused for, the ``first`` time only; where a
        server does not answer, only if no manifest was found. Whatever else cannot be read is
        logged once, and what was known of it holds.
        """
        found: dict[str, FoundManifest] = {}
        absent: list[TransportError] = []
        self._said, self._complaints = self._complaints, set()
        for place in self._places:
            if not _is_folder(place) and place.text not in self._inside:
                try:
                    self._read(place, found, named=first)
                except TransportError as error:
                    absent.append(error)
                    self._complain(place.text, error.what)
                continue
            try:
                inside = self._inside[place.text] = list(self._manifests_in(place))
            except (OSError, RegatherError, RequestFailed) as error:
                if first:
                    raise UsageError(
                        f"{place}: {_what(error)}", help="give a folder of manifests, or its URL"
                    ) from None
                self._complain(place.text, _what(error))
                known = [a.text for a in self._inside.get(place.text, ()) if a.text in self._found]
                found.update((where, self._found[where]) for where in known)
                continue
            for address in inside:
                self._read(address, found, named=False)
        if absent and not found:
            raise absent[0]
        return found

    def _manifests_in(self, place: Address) -> Iterator[Address]:
        """The manifests of a folder."""
        if not place.remote:
            for path in sorted(Path(place.text).iterdir()):
                if path.name.endswith(MANIFEST_SUFFIX) and not path.name.startswith("."):
                    yield Address(str(path))
            return
        data, where = self._prober.document(place.text, MAX_MANIFEST_BYTES)
        base = re.split("[?#]", where, maxsplit=1)[0].rpartition("/")[0]
        for name in sorted(set(_WORD.findall(data.decode("utf-8", "replace")))):
            if name.endswith(MANIFEST_SUFFIX):
                yield address_of(f"{base}/{name}")

    def _read(self, address: Address, found: dict[str, FoundManifest], *, named: bool) -> None:
        before = self._found.get(address.text)
        try:
            state = () if address.remote else _state(address.text)
            if before is not None and state and before.state == state:
                found[address.text] = before
                return
            loaded = load(address, self._digest, self._prober)
            if before is not None and before.loaded == loaded:
                found[address.text] = before
                return
            target = target_at(address, loaded, self._servers, self._prober)
        except RegatherError as error:
            if named:
                raise
            if before is None or address.remote or state:  # else it was removed
                self._complain(address.text, error.what)
                if before is not None:
                    found[address.text] = before
            return
        found[address.text] = FoundManifest(state, loaded, target)

    def _complain(self, where: str, what: str) -> None:
        self._complaints.add((where, what))
        if (where, what) not in self._said:
            _log.warning("%s: %s", where, what)

    # -- in the event loop ----------------------------------------------------------------

    def adopt(self, found: dict[str, FoundManifest]) -> None:
        """Serve what was found from now on."""
        self._found = found
        before, by_digest = self.by_digest, dict[str, HostedFile]()
        by_name, fragments = dict[str, HostedFile](), dict[str, HostedFile | None]()
        targets = _merged(one.target for one in found.values())
        for where, one in found.items():
            digest = one.manifest.digest
            hosted = by_digest.get(digest)
            if hosted is None:
                known = before.get(digest)
                target = targets[digest]
                same = known is not None and known.target == target
                hosted = known if known and same else self._make(one.manifest, target)
                by_digest[digest] = hosted
                hosted.publish(one.loaded)
                for name in hosted.fragments:
                    fragments[name] = None if name in fragments else hosted
            other = by_name.setdefault(one.manifest.name, hosted)
            if other is not hosted:
                what = f"{one.manifest.name!r} is another file already; served by digest only"
                self._complain(where, what)
        # A page looks from its own thread: it gets all at once.
        self.by_digest, self.by_name, self.fragments = by_digest, by_name, fragments
        for digest, hosted in before.items():
            if self.by_digest.get(digest) is not hosted and hosted not in self._retired:
                self._retired.append(hosted)
        self._retire()

    def _retire(self) -> None:
        """Go on serving what was replaced by its digest; close it when there is more of it."""
        kept: list[HostedFile] = []
        for place, hosted in enumerate(reversed(self._retired)):
            replaced = self.by_digest.get(hosted.digest, hosted) is not hosted
            if hosted.readers or (place < _MOST_RETIRED and not replaced):
                kept.append(hosted)
                self.by_digest.setdefault(hosted.digest, hosted)
            else:
                hosted.close()
        self._retired = kept[::-1]

    @property
    def manifests(self) -> list[str]:
        """The paths and URLs of the manifests that were found last."""
        return list(self._found)

    @property
    def files(self) -> list[HostedFile]:
        """All files that have a name, in its order."""
        return [self.by_name[name] for name in sorted(self.by_name)]

    def close(self) -> None:
        """Break off everything."""
        for hosted in (*self.by_digest.values(), *self._retired):
            hosted.close()


def _merged(targets: Iterable[DownloadTarget]) -> dict[str, DownloadTarget]:
    """By digest: what is found at several places has the sources of all of them."""
    merged: dict[str, DownloadTarget] = {}
    for target in targets:
        known = merged.setdefault(target.digest, target)
        if known is not target:
            sources = {source.url: source for source in (*known.sources, *target.sources)}
            merged[target.digest] = replace(known, sources=tuple(sources.values()))
    return merged


def _is_folder(place: Address) -> bool:
    return place.is_base if place.remote else os.path.isdir(place.text)


def _state(path: str) -> tuple[int, ...]:
    """Tells states of a manifest and its signature apart; empty for one that cannot be read."""
    state: tuple[int, ...] = ()
    for each in (path, signature_path(path)):
        try:
            status = os.stat(each)
        except OSError:
            break
        state += status.st_ino, status.st_mtime_ns, status.st_size
    return state


def _what(error: Exception) -> str:
    return getattr(error, "what", "") or getattr(error, "strerror", "") or str(error)
