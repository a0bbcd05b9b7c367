"""What requests cost that need no more than one look: counted, for a clock would tell nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from regather import names
from regather.transport import HttpConnection, TransportOptions
from regather.transport.base import RequestFailed
from tests.support.hosting import Hosting

PIECE = 1000


def test_a_url_is_looked_at_once_and_not_at_every_request(
    monkeypatch: pytest.MonkeyPatch, hosting: Hosting, tmp_path: Path
) -> None:
    (tmp_path / "object").write_bytes(bytes(20 * PIECE))
    url = f"{hosting.serve(tmp_path).url}object"
    looked: list[str] = []

    def counted(text: str, *rest: Any) -> Any:
        looked.append(text)
        return urlsplit(text, *rest)

    monkeypatch.setattr(names, "urlsplit", counted)
    connection = HttpConnection(TransportOptions())
    buffer = memoryview(bytearray(PIECE))
    for at in range(0, 20 * PIECE, PIECE):
        assert connection.request(url, at, at + PIECE, 20 * PIECE)
        assert connection.receive(buffer) == PIECE
        connection.finish()
    connection.close()
    assert looked == [url]


def test_advice_is_thought_of_where_something_is_wrong(
    monkeypatch: pytest.MonkeyPatch, hosting: Hosting, tmp_path: Path
) -> None:
    (tmp_path / "object").write_bytes(bytes(PIECE))
    url = hosting.serve(tmp_path).url
    thought: list[str] = []
    advice = HttpConnection.advice

    def counted(connection: HttpConnection, head: Any, target: str, at: str) -> str:
        thought.append(at)
        return advice(connection, head, target, at)

    monkeypatch.setattr(HttpConnection, "advice", counted)
    connection = HttpConnection(TransportOptions())
    assert connection.fetch(f"{url}object", PIECE)[0] == bytes(PIECE)
    assert thought == []
    with pytest.raises(RequestFailed):
        connection.fetch(f"{url}none", PIECE)
    assert thought == [f"{url}none"]
    connection.close()


def test_an_error_without_retry_after_imports_nothing() -> None:
    """What reads dates takes longer to import than a request takes; a 404 is no rare answer."""
    program = (
        "import sys\nfrom regather.transport.base import RequestFailed\n"
        "from regather.transport.head import Head, check_status\n"
        "try:\n    check_status(Head(404, {}, True), 'it')\nexcept RequestFailed as error:\n"
        "    print(error.status, error.retry_after, 'email' in sys.modules)"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "404 None False\n", done.stderr
