"""Samples that tests make by hand, where no real download is needed."""

from __future__ import annotations

from array import array

from regather.model import Fragment, FragmentIndex, Layout
from regather.page.samples import FileSample, Sample, ServerSample, TransferSample

PIECE = 1 << 20


def layout(data: int, parity: int, pieces: int, *, name: str = "fragment_{}.dat") -> Layout:
    """A file of ``data`` fragments in one erasure set, each of ``pieces`` pieces."""
    size = pieces * PIECE
    fragments = tuple(
        Fragment(
            FragmentIndex(n + 1),
            name.format(n + 1),
            n * size,
            size,
            kind="data" if n < data else "parity",
            set=1 if parity else 0,
        )
        for n in range(data + parity)
    )
    return Layout(data * size, PIECE, fragments)


class Made:
    """A Sampled that gives the ``sample`` that it has now."""

    def __init__(self, sample: Sample) -> None:
        self.now = sample

    def sample(self) -> Sample:
        return self.now


def sample(servers: int = 5, *, pieces: int = 20, name: str = "file.bin") -> Sample:
    """Three fragments of data and two of parity; server n has fragment n, half of all is here."""
    file = layout(3, 2, pieces)
    urls = [f"http://server{n + 1}.example/" for n in range(servers)]
    here = bytearray(file.piece_count)
    deliverers = array("H", bytes(2 * file.piece_count))
    for number in range(0, file.data_pieces, 2):
        here[number] = 1
        deliverers[number] = number // pieces % servers + 1
    one = FileSample(
        name=name,
        layout=file,
        here=here,
        servers=urls,
        holdings=[frozenset((n % 5,)) for n in range(servers)],
        deliverers=deliverers,
        reading=[(0, 0, 1, 2)],
    )
    return Sample(
        servers=[
            ServerSample(url, heard=1, received=n * PIECE, useful=n * PIECE)
            for n, url in enumerate(urls)
        ],
        files=[one],
        transfers=[TransferSample(name, file.size, file.size // 2, 1000.0, 9.0, file=0)],
        received=10 * PIECE,
        activity="downloading",
    )
