"""What readers are told while they wait, and why a piece cannot be had."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from pathlib import Path

import pytest

import regather
from tests.reading.support import QUICK, split_for_reading
from tests.support.net import free_port
from tests.support.rogue import Rogue, sends


def test_a_pause_that_a_source_asks_for_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = split_for_reading(tmp_path, fragments=1)
    busy = b"HTTP/1.1 503 Busy\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n"
    logging.getLogger("regather").propagate = True  # a command that ran before turns it off
    with Rogue(sends(busy)) as rogue, caplog.at_level("WARNING", "regather.reading"):
        file = regather.open(made.manifest, servers=[rogue.url])

        def read() -> None:
            with contextlib.suppress(ValueError):  # it is closed meanwhile
                file.read()

        thread = threading.Thread(target=read)
        thread.start()
        until = time.monotonic() + 60
        while not caplog.records and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)  # it looks ten times a second
        file.close()
        thread.join(60)
    [record] = caplog.records
    told = record.getMessage()
    assert told.startswith("file_fragment_1.dat: waiting ")
    assert f"s for {rogue.url}" in told
    assert "503" in told


def test_the_message_itself_says_why(tmp_path: Path) -> None:
    """Python shows nothing but that of an error."""
    made = split_for_reading(tmp_path, fragments=1)
    url = f"http://127.0.0.1:{free_port()}/"
    with regather.open(made.manifest, servers=[url], settings=QUICK) as file:
        with pytest.raises(regather.NotEnoughSourcesError, match="refused") as caught:
            file.read(1)
        assert url in str(caught.value)
