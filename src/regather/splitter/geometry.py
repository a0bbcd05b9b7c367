"""Before the pass: how the input is cut."""

from __future__ import annotations

from collections.abc import Sequence

from regather.errors import UsageError
from regather.model import MAX_PIECE_SIZE, MAX_SET, Fragment, FragmentIndex, Layout, piece_size_for
from regather.units import counted, format_size

MAX_FRAGMENTS = 100_000
DEFAULT_FRAGMENTS = 3
LEAST_PIECE_SIZE = 64 << 10
"""That may be asked for: below it, requests and hashes cost more than their bytes."""
MOST_PIECES = 1 << 20
"""That may be asked for: their hashes take 45 of the 64 MiB that a manifest may have."""


def fragment_sizes(size: int, count: int | None, chunk_size: int | None) -> list[int]:
    """Sizes of the data fragments, in bytes. Raises UsageError."""
    if count is not None and chunk_size is not None:
        raise UsageError("give either a number of fragments or a fragment size, not both")
    if chunk_size is not None:
        if chunk_size < 1:
            raise UsageError(f"the fragment size must be 1 byte or more, not {chunk_size}")
        count = max(1, -(-size // chunk_size))
        _check_count(count, "use a larger --chunk-size")
        return [chunk_size] * (count - 1) + [size - chunk_size * (count - 1)]
    if count is None:
        count = min(DEFAULT_FRAGMENTS, max(1, size))
    if count < 1:
        raise UsageError(f"the number of fragments must be 1 or more, not {count}")
    _check_count(count, "use fewer --fragments")
    if count > max(size, 1):
        raise UsageError(
            f"{count} fragments of a file of {counted(size, 'byte')}: some would be empty",
            help=f"use --fragments {max(size, 1)} or fewer",
        )
    each, extra = divmod(size, count)
    return [each + 1] * extra + [each] * (count - extra)


def default_fragments(places: int, parity: int, size: int) -> int:
    """One a place, those of parity included, so that each may be lost; at most one a byte."""
    wanted = places - parity if places > parity else DEFAULT_FRAGMENTS
    if parity:
        wanted = min(wanted, max(MAX_SET - parity, 1))
    return min(wanted, max(size, 1))


def _check_count(count: int, help: str) -> None:
    if count > MAX_FRAGMENTS:
        raise UsageError(f"{count} fragments are more than {MAX_FRAGMENTS}", help=help)


def layout_of(
    size: int,
    sizes: Sequence[int],
    parity: int = 0,
    set_size: int = 0,
    piece_size: int | None = None,
) -> Layout:
    """The layout of a file cut into fragments of ``sizes`` bytes, not hashed yet.

    With ``parity``, every ``set_size`` consecutive ones (0: all) are an erasure set and get so many
    parity fragments. ``piece_size`` in bytes, else what suits the size. Raises UsageError.
    """
    if parity < 0 or set_size < 0:
        raise UsageError("parity and set size must not be negative")
    if set_size and not parity:
        raise UsageError("a set size requires parity", help="add --parity M")
    set_size = set_size or len(sizes)
    if parity and min(set_size, len(sizes)) + parity > MAX_SET:
        raise UsageError(
            f"{min(set_size, len(sizes))} data and {parity} parity fragments are more than "
            f"{MAX_SET} in one erasure set",
            help="use a smaller --set-size or --parity",
        )
    _check_count(len(sizes) + parity * -(-len(sizes) // set_size), "use a larger --set-size")
    data: list[Fragment] = []
    coded: list[Fragment] = []
    offset, end = 0, size
    for n, length in enumerate(sizes):
        number = n // set_size + 1 if parity else 0
        data.append(
            Fragment(FragmentIndex(n + 1), f"file_fragment_{n + 1}.dat", offset, length, set=number)
        )
        offset += length
    for first in range(0, len(sizes) if parity else 0, set_size):
        longest = max(sizes[first : first + set_size])
        number = first // set_size + 1
        for n in range(1, parity + 1):
            index, name = len(sizes) + len(coded) + 1, f"file_parity_{number}_{n}.dat"
            coded.append(
                Fragment(FragmentIndex(index), name, end, longest, kind="parity", set=number)
            )
            end += longest
    # Parity has hashes in the manifest as well, so it counts where the piece size bounds them.
    return Layout(size, _piece_size(end, piece_size), (*data, *coded))


def _piece_size(size: int, asked: int | None) -> int:
    if asked is None:
        return piece_size_for(size)
    if asked & (asked - 1) or not LEAST_PIECE_SIZE <= asked <= MAX_PIECE_SIZE:
        raise UsageError(
            f"a piece size of {asked} bytes is not a power of two from "
            f"{LEAST_PIECE_SIZE >> 10} KiB to {MAX_PIECE_SIZE >> 20} MiB",
            help="use --piece-size 256KiB, for example",
        )
    if size > asked * MOST_PIECES:
        raise UsageError(
            f"{format_size(size)} in pieces of {format_size(asked)} would be more than "
            f"{MOST_PIECES} pieces, which no manifest should hold",
            help="use a larger --piece-size, or omit it",
        )
    return asked
