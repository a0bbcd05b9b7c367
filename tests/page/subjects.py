"""Samples that tests make by hand, where no real download is needed."""

from __future__ import annotations

import math
from array import array
from typing import Any

from regather.model import Fragment, FragmentIndex, Layout
from regather.page.samples import (
    COMPUTED,
    CacheSample,
    Condition,
    FileSample,
    Sample,
    ServerSample,
    TransferSample,
)

PIECE = 1 << 20


def layout(
    data: int, parity: int, pieces: int, *, name: str = "fragment_{}.dat", sets: int = 1
) -> Layout:
    """A file of ``data`` fragments in erasure sets of equal size, each of ``pieces`` pieces."""
    size = pieces * PIECE
    fragments = tuple(
        Fragment(
            FragmentIndex(n + 1),
            name.format(n + 1),
            n * size,
            size,
            kind="data" if n < data else "parity",
            set=(n * sets // data if n < data else (n - data) * sets // parity) + 1
            if parity
            else 0,
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


_LIVELY: tuple[tuple[str, Condition, dict[str, Any]], ...] = (
    ("ber-1.mirror.example", "ok", {}),
    ("ber-2.mirror.example", "ok", {}),
    ("fra-1.mirror.example:8443", "corrupt", {"corrupt": 2, "last_error": "wrong bytes"}),
    ("ams.storage.example/pub", "ok", {}),
    (
        "old.nas.example",
        "gone",
        {
            "pause": 0.4,
            "errors": {"unreachable": 7},
            "last_error": "old.nas.example:80: Connection refused",
        },
    ),
    (
        "par.cdn.example",
        "paused",
        {"pause": 8.0, "errors": {"busy": 3}, "last_error": "par.cdn.example:443: HTTP 429"},
    ),
    ("mad.mirror.example", "stalled", {"errors": {"timed out": 1}}),
    ("waw.mirror.example", "ok", {}),
)


def lively(seconds: int, *, over: int = 300) -> Sample:
    """A download of two erasure sets from eight servers, at a moment; something of everything."""
    file = layout(8, 4, 40, sets=2)
    urls = [f"https://{name}/" for name, _, _ in _LIVELY]
    here, deliverers = bytearray(file.piece_count), array("H", bytes(2 * file.piece_count))
    for number in range(file.piece_count):
        fragment, piece = divmod(number, 40)
        if number < file.data_pieces and piece < 36 * seconds // over - 2 * (fragment % 5):
            here[number] = 1
            deliverers[number] = COMPUTED if fragment == 4 and piece > 20 else fragment % 5 + 1
    received = [
        sum(int((2 + n % 3 + math.sin(at / (9 + n))) * PIECE / 14) for at in range(seconds))
        if condition in ("ok", "corrupt")
        else 6 * PIECE
        for n, (_, condition, _) in enumerate(_LIVELY)
    ]
    servers = [
        ServerSample(
            url,
            condition=condition if seconds >= over - 20 else "ok",
            heard=total + seconds + 1,
            received=total,
            useful=total,
            connections=2 if condition == "ok" else 0,
            latency=0.004 * (n + 1),
            **(more if seconds >= over - 20 else {}),
        )
        for n, (url, (_, condition, more), total) in enumerate(
            zip(urls, _LIVELY, received, strict=True)
        )
    ]
    one = FileSample(
        name="dataset-2026.tar",
        layout=file,
        here=here,
        servers=urls,
        holdings=[frozenset((n, n + 8 - 4 * (n // 4))) for n in range(8)],
        deliverers=deliverers,
        reading=[(0, 0, 36, 38), (1, 1, 34, 36), (3, 3, 32, 34), (7, 7, 35, 37)],
        corrupt=[(2, 2)],
        link="http://127.0.0.1:1/d/00/dataset-2026.tar?download",
    )
    size, done = file.size, sum(here) * PIECE
    readers = [
        TransferSample("dataset-2026.tar", size, done, 9.1e6, 22.0, file=0, phase="sending"),
        TransferSample(
            "dataset-2026.tar",
            size,
            done // 3,
            0.0,
            None,
            phase="sending",
            waits="waits for its client",
        ),
    ]
    total = sum(received)
    return Sample(
        servers=servers,
        files=[one],
        transfers=readers,
        more_transfers=5,
        received=total,
        sent=3 * total,
        readers=7,
        cache=CacheSample(total, 2 * size, 2 * total),
        origin=total,
        size=size,
        activity="serving",
    )
