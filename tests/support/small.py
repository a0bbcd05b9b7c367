"""Files of small pieces: many pieces in few bytes, with the splitter or without."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from regather.coding.codec import codec_for
from regather.digest import piece_hash
from regather.manifest import Manifest
from regather.model import Fragment, FragmentIndex, ManifestSource

PIECE = 1024


class Small(Struct, frozen=True):
    """A split file in memory."""

    manifest: Manifest
    content: Mapping[str, bytes]
    """Bytes by fragment name."""

    @property
    def names(self) -> list[str]:
        return [f.name for f in self.manifest.fragments]

    def write(self, folder: Path, places: Mapping[str, Sequence[int]]) -> Path:
        """Put fragments, by index, into folders, and the manifest beside and into them."""
        for name, indexes in places.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for index in indexes:
                fragment = self.names[index - 1]
                (folder / name / fragment).write_bytes(self.content[fragment])
            (folder / name / "small.regather.json").write_bytes(self.manifest.to_bytes())
        path = folder / "small.regather.json"
        path.write_bytes(self.manifest.to_bytes())
        return path

    def at(self, held: Mapping[str, Sequence[int]]) -> Small:
        """The same with sources in the manifest, by URL."""
        sources = tuple(
            ManifestSource(url, frozenset(map(FragmentIndex, indexes)))
            for url, indexes in held.items()
        )
        return replace(self, manifest=replace(self.manifest, sources=sources))

    def wrong(self, folder: Path) -> list[str]:
        """Fragments anywhere below a folder that are not what they should be."""
        found = (p for p in folder.rglob("*") if p.is_file() and p.name != "small.regather.json")
        return sorted(
            str(p.relative_to(folder))
            for p in found
            if p.read_bytes() != self.content.get(p.name, b"no such fragment")
        )


def small(
    sizes: Sequence[int], *, parity: int = 0, set_size: int = 0, seed: int = 1, piece: int = PIECE
) -> Small:
    """Data fragments of these sizes in bytes, and parity of every ``set_size`` of them."""
    rng = random.Random(seed)
    content: dict[str, bytes] = {}
    data: list[Fragment] = []
    coded: list[Fragment] = []
    offset = 0
    width = set_size or len(sizes)
    for index, size in enumerate(sizes, 1):
        name = f"file_fragment_{index}.dat"
        content[name] = rng.randbytes(size)
        number = (index - 1) // width + 1 if parity else 0
        hashes = _hashes(content[name], piece)
        data.append(Fragment(FragmentIndex(index), name, offset, size, hashes, "data", number))
        offset += size
    for number in sorted({f.set for f in data} - {0}):
        members = [f for f in data if f.set == number]
        longest = max(f.size for f in members)
        made = [memoryview(bytearray(longest)) for _ in range(parity)]
        if longest:
            padded = [memoryview(bytearray(content[f.name].ljust(longest, b"\0"))) for f in members]
            codec_for(len(members), parity).encode(padded, made)
        for n, buffer in enumerate(made, 1):
            name = f"file_parity_{number}_{n}.dat"
            content[name] = bytes(buffer)
            index = len(data) + len(coded) + 1
            coded.append(
                Fragment(
                    FragmentIndex(index),
                    name,
                    0,
                    longest,
                    _hashes(content[name], piece),
                    "parity",
                    number,
                )
            )
    manifest = Manifest("small", offset, piece, (*data, *coded))
    return Small(Manifest.from_bytes(manifest.to_bytes()), content)


def _hashes(content: bytes, piece: int) -> bytes:
    return b"".join(piece_hash(content[i : i + piece]) for i in range(0, len(content), piece))


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@contextmanager
def small_pieces(size: int = PIECE) -> Iterator[None]:
    """Meanwhile the splitter cuts into pieces of ``size`` bytes (a power of two, 1024 or more).

    Its own choice is 1 MiB and more; whoever reads a manifest takes what stands there.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regather.splitter.geometry.piece_size_for", lambda _: size)
        yield
