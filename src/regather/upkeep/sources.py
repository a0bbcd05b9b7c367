"""From a manifest to the sources of its fragments, and to what each of them should hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regather.coding.placement import spread
from regather.errors import NotEnoughSourcesError
from regather.manifest import Manifest
from regather.model import FragmentIndex, FragmentPosition, Layout, ManifestSource, Source
from regather.sources.addresses import Address, address_of, base_urls, target_base
from regather.sources.manifests import LoadedManifest, beside, load_manifest, sources_of
from regather.sources.probing import FEW_RETRIES, Prober
from regather.transport.stores.open import open_store
from regather.transport.stores.retrying import RetryPolicy

if TYPE_CHECKING:
    from regather.sources.signed import TrustRules

_MOST_REPLICAS = 17
"""Before this it is tried whether what is there could be of a split with so many replicas."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A file to look after."""

    loaded: LoadedManifest
    layout: Layout
    where: Address
    """Of the manifest."""
    sources: tuple[Source, ...]
    """Those of ``to`` come last."""
    to: tuple[str, ...] = ()
    """Bases of the sources that take what others cannot hold any longer."""
    named: bool = False
    """Whether the user named sources."""
    beside: tuple[str, ...] = ()
    """Folders with fragments beside a local manifest that are not among the sources."""
    trust: TrustRules | None = None

    @property
    def manifest(self) -> Manifest:
        """What describes it."""
        return self.loaded.manifest


def open_subject(
    source: str | Path,
    servers: Sequence[str],
    to: Sequence[str],
    policy: RetryPolicy,
    trust: TrustRules | None,
) -> Subject:
    """Read the manifest and find its sources, by the rules of a download.

    Beside a local manifest the ``server1`` to ``serverN`` folders of a split count as well where
    they are empty by now. Raises UsageError, ManifestError, TransportError or
    NotEnoughSourcesError.
    """
    where = address_of(str(source))
    bases = base_urls(servers)
    options = policy.options
    asking = Prober(options, trust, retries=min(policy.retries, FEW_RETRIES))
    loaded = load_manifest(where, asking)
    manifest, folder = loaded.manifest, loaded.folder
    layout = manifest.layout
    targets = tuple(dict.fromkeys(target_base(text) for text in to))
    sources = list(sources_of(where, loaded, bases))
    if not manifest.sources and not servers and not where.remote:
        sources = _with_empty_folders(sources, folder)
    if not sources and not targets:
        raise NotEnoughSourcesError(
            f"{where}: names no source, and its folder contains no fragments",
            help="give the sources of the fragments: --server URL, once for each",
        )
    known = {s.url for s in sources}
    for url in targets:
        open_store(url, options).close()  # says where nothing can be stored; opens nothing
    for url in (*bases, *targets):
        asking.check(url)
    sources += [Source(url) for url in targets if url not in known]
    near = tuple(s.url for s in beside(where, folder, layout, sources))
    return Subject(loaded, layout, where, tuple(sources), targets, bool(servers), near, trust)


def _with_empty_folders(sources: list[Source], folder: str) -> list[Source]:
    numbers = [
        int(match[1])
        for path in Path(folder).glob("server*/")
        if (match := re.fullmatch(r"server([1-9]\d{0,5})", path.name))
    ]
    if not numbers or max(numbers) > 2 * len(numbers) + 8:
        return sources
    numbered = [str(Path(folder) / f"server{n + 1}") + "/" for n in range(max(numbers))]
    others = [s for s in sources if s.url not in numbered]
    return [*others, *map(Source, numbered)]


def expected_of(
    layout: Layout, sources: Sequence[Source], present: Sequence[frozenset[int]]
) -> list[frozenset[FragmentPosition] | None]:
    """What each source should hold, by position; None where that is unknown.

    ``present`` is what each was found to have, in whatever state. Where the manifest says nothing
    at all, and what is there could be what is left of a split over these sources in this order,
    that split is what should be there.
    """
    expected = [s.fragments for s in sources]
    if any(e is not None for e in expected) or not any(present):
        return expected
    count = len(sources)
    have = sum(map(len, present))
    # Many replicas would explain nearly anything, so most of them must be there, and where each
    # source should hold all, one that does. More than a few are tried only where that is each.
    likely = [r for r in (*range(1, _MOST_REPLICAS), count) if r <= count]
    for replicas in dict.fromkeys(likely):
        if replicas > 1 and 2 * have <= replicas * len(layout.fragments):
            break
        held: list[set[FragmentPosition]] = [set() for _ in sources]
        for position, places in enumerate(spread(layout, count, replicas)):
            for place in places:
                held[place].add(FragmentPosition(position))
        if not all(found <= would for found, would in zip(present, held, strict=True)):
            continue
        if replicas == count > 1 and len(layout.fragments) not in map(len, present):
            continue
        return [frozenset(h) for h in held]
    return expected


def without(
    sources: Sequence[ManifestSource], moves: dict[tuple[str, FragmentIndex], str]
) -> list[ManifestSource]:
    """The sources of a manifest after fragments were moved: (from, index) -> to.

    A source that is left with nothing is left out; ``to`` may be a source that is not there yet.
    """
    held = {s.url: s for s in sources}
    for (url, index), to in moves.items():
        if (old := held.get(url)) is not None and old.fragments is not None:
            held[url] = replace(old, fragments=old.fragments - {index})
        new = held.get(to, ManifestSource(to, frozenset()))
        if new.fragments is not None:
            held[to] = replace(new, fragments=new.fragments | {index})
    return [s for s in held.values() if s.fragments is None or s.fragments]
