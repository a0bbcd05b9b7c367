"""Who computes rows: all that waits is computed, and nobody waits where there is nothing left."""

from __future__ import annotations

import threading
from pathlib import Path

from regather.digest import piece_hash
from regather.engine.decoder import Decoder
from regather.store import Destination
from tests.support.net import wait_until
from tests.support.small import PIECE, Small, small

ROWS = 5
WORKERS = 12


def rows_of(part: Small, tmp_path: Path) -> tuple[Destination, dict[tuple[int, int], memoryview]]:
    """A destination with the first fragment in place, and the pieces of parity."""
    layout = part.manifest.layout
    destination = Destination(tmp_path / "x", layout, bytes(32))
    pieces: dict[tuple[int, int], memoryview] = {}
    for fragment in (0, 2):
        content = part.content[part.names[fragment]]
        for row in range(ROWS):
            view = memoryview(bytearray(content[row * PIECE : (row + 1) * PIECE]))
            pieces[fragment, row] = view
            if fragment == 0:
                destination.place(row, view, piece_hash(view))
    return destination, pieces


def submitted(tmp_path: Path, *, in_memory: bool) -> tuple[Decoder, Destination, list[bool]]:
    """A decoder with all rows to compute, and whether those that it has computed were right."""
    part = small([ROWS * PIECE] * 2, parity=1)
    destination, pieces = rows_of(part, tmp_path)
    came: list[bool] = []
    decoder = Decoder(
        part.manifest.layout,
        destination,
        lambda number, row, right: came.append(bool(right)),
        lambda error: None,
        lambda f, r: False,
        in_memory=in_memory,
    )
    submit_all(decoder, pieces)
    return decoder, destination, came


def submit_all(decoder: Decoder, pieces: dict[tuple[int, int], memoryview]) -> None:
    for row in range(ROWS):
        decoder.parity.hold(2, row, pieces[2, row], PIECE)
        decoder.submit(0, row, (1,), (2,), by_callers=True)


def test_who_waits_for_a_turn_goes_on_when_all_is_computed(tmp_path: Path) -> None:
    part = small([ROWS * PIECE] * 2, parity=1)
    destination, pieces = rows_of(part, tmp_path)
    hold = threading.Event()
    came: list[tuple[int, bool]] = []
    failed: list[BaseException] = []

    def ended(number: int, row: int, right: bool | None) -> None:
        came.append((row, bool(right)))
        hold.wait(30)

    decoder = Decoder(part.manifest.layout, destination, ended, failed.append, lambda f, r: False)
    decoder.most_threads = 1
    submit_all(decoder, pieces)
    workers = [
        threading.Thread(target=decoder.catch_up, kwargs={"most": 1}, daemon=True)
        for _ in range(WORKERS)
    ]
    workers[0].start()
    wait_until(lambda: len(came) == 1)
    for worker in workers[1:]:
        worker.start()
    hold.set()
    wait_until(lambda: not any(worker.is_alive() for worker in workers), what="the workers' end")
    assert sorted(came) == [(row, True) for row in range(ROWS)]
    assert not failed
    for row in range(ROWS):
        made = memoryview(bytearray(PIECE))
        destination.read(ROWS + row, 0, made)
        assert made == part.content[part.names[1]][row * PIECE : (row + 1) * PIECE]
    destination.close()


def test_rows_that_no_worker_comes_for_are_computed(tmp_path: Path) -> None:
    decoder, destination, came = submitted(tmp_path, in_memory=False)
    assert decoder.waiting
    decoder.look_after(1000.0)
    assert not came
    decoder.look_after(-1.0)
    wait_until(lambda: len(came) == ROWS)
    assert all(came)
    decoder.stop()
    decoder.join(10)
    destination.close()


def test_what_is_needed_to_compute_goes_with_the_last_row(tmp_path: Path) -> None:
    """Where pieces are in memory, many files share it, and few compute at a time."""
    decoder, destination, came = submitted(tmp_path, in_memory=True)
    decoder.catch_up(most=1)
    assert len(decoder._scratch) == 1, "it is used again"
    decoder.catch_up(most=ROWS)
    assert came == [True] * ROWS
    assert not decoder.parity.in_use
    assert decoder._scratch == []
    destination.close()
