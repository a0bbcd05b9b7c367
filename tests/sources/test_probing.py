"""A manifest that cannot be had at once is asked for again: a few times, and for a bounded time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import regather
from regather.server.faults import NO_FAULT, decide, parse_fault
from tests.support.files import random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.net import free_port
from tests.support.rogue import Rogue, sends

NAME = "file.bin.regather.json"
HALF_BUSY = "error:503@0.5"
SETTINGS = regather.Settings(retries=10, sync=False)


@dataclass
class Made:
    folder: Path
    content: bytes

    def get(self, url: str, settings: regather.Settings = SETTINGS) -> None:
        dest = self.folder.parent / "copy.bin"
        regather.download(url, dest, settings=settings)
        assert dest.read_bytes() == self.content


@pytest.fixture
def made(tmp_path: Path) -> Made:
    original = random_file(tmp_path / "file.bin", 100_000)
    regather.split(original, tmp_path / "hosted")
    return Made(tmp_path / "hosted", original.read_bytes())


def get(made: Made, url: str) -> None:
    made.get(url)


def check(made: Made, url: str) -> None:
    assert regather.check(url, settings=SETTINGS).status == "healthy"


def repair(made: Made, url: str) -> None:
    assert regather.repair(url, settings=SETTINGS).status == "healthy"


def info(made: Made, url: str) -> None:
    told = run("info", url)
    assert told.returncode == 0, told
    assert "file_fragment_3.dat" in told.stdout


EVERY = pytest.mark.parametrize("job", [get, check, repair, info])


def seed_of(*busy: bool) -> int:
    """A seed with which the first requests are answered 503, or not, as told."""
    faults = [parse_fault(HALF_BUSY)]
    return next(
        seed
        for seed in itertools.count()
        if all((decide(faults, seed, n, 0.0) != NO_FAULT) == b for n, b in enumerate(busy))
    )


@EVERY
def test_busy_for_a_moment(made: Made, hosting: Hosting, job: Callable[[Made, str], None]) -> None:
    server = hosting.serve(made.folder, faults=[HALF_BUSY], seed=seed_of(True, False))
    job(made, server.url + NAME)


@EVERY
def test_not_up_yet(made: Made, hosting: Hosting, job: Callable[[Made, str], None]) -> None:
    port = free_port()
    starting = threading.Timer(0.3, lambda: hosting.serve(made.folder, port=port))
    starting.start()
    try:
        job(made, f"http://127.0.0.1:{port}/{NAME}")
    finally:
        starting.join()


def test_what_lasts_is_not_asked_again(made: Made) -> None:
    with Rogue(sends(b"HTTP/1.1 404 Nothing\r\nContent-Length: 0\r\n\r\n")) as rogue:
        with pytest.raises(regather.RegatherError, match="404"):
            made.get(rogue.url + NAME)
        assert len(rogue.requests) == 1


@pytest.mark.parametrize(("retries", "asked"), [(0, 1), (1, 2), (100, 4)])
def test_a_few_times_only(made: Made, retries: int, asked: int) -> None:
    with Rogue(sends(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")) as rogue:
        with pytest.raises(regather.RegatherError, match=r"cannot get the manifest.*503"):
            made.get(rogue.url + NAME, regather.Settings(retries=retries))
        assert len(rogue.requests) == asked


def test_no_longer_than_the_time_out(made: Made) -> None:
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n"
    began = time.monotonic()
    with Rogue(sends(busy)) as rogue, pytest.raises(regather.RegatherError, match="503"):
        made.get(rogue.url + NAME, regather.Settings(timeout=1.0))
    assert time.monotonic() - began < 40, "it waited as long as it was told to"


def test_the_command_says_so_in_one_line(made: Made) -> None:
    url = f"http://127.0.0.1:{free_port()}/{NAME}"
    for words in (("check",), ("repair",), ("get", "--quiet")):
        told = run(words[0], url, "--retries", "1", *words[1:])
        assert told.returncode == 4
        assert "Traceback" not in told.stderr
        assert len(told.stderr.splitlines()) == 1
        assert "cannot get the manifest" in told.stderr
