"""The table of Range headers beside nginx (tests/server): a gateway answers as `serve` does."""

from __future__ import annotations

from pathlib import Path

import pytest

import regather
from tests.gateway.support import started
from tests.server.test_ranges_beside_nginx import DIFFERENT, SAME, ask
from tests.support.hosting import Hosting

HEADERS = [*SAME, *(header for header, *_ in DIFFERENT)]


@pytest.mark.parametrize("content", [b"0123456789", b""], ids=["ten bytes", "empty"])
def test_a_gateway_answers_as_serve_does(content: bytes, tmp_path: Path, hosting: Hosting) -> None:
    path = tmp_path / "hosted" / "ten.dat"
    path.parent.mkdir()
    path.write_bytes(content)
    plain = hosting.serve(path.parent)
    regather.split(path, tmp_path / "out", servers=2, fragments=2 if content else 1)
    sources = [hosting.serve(tmp_path / f"out/server{n}").url for n in (1, 2)]
    gateway = started(hosting, [tmp_path / "out/ten.dat.regather.json"], servers=sources)
    for header in HEADERS:
        answers = [ask(server.port, "ten.dat", header) for server in (plain, gateway)]
        assert answers[0] == answers[1], header
