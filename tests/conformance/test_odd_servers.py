"""The table of odd servers: the right bytes come of each, or it is refused; never a wrong file.

``python -m tests.conformance.peers`` asks other tools for the same, for docs/mirrors.md.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regather.transport.curl import available
from tests.conformance.odd import NAME, QUICK, REFUSED, SIZE, WAYS, fetch
from tests.support.files import leftovers, random_file
from tests.support.odd import ODD


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("odd")
    random_file(made / NAME, SIZE)
    return made


@pytest.mark.parametrize("curl", [False, True], ids=["own", "libcurl"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ODD)
def test_odd_servers(folder: Path, kind: str, way: str, curl: bool) -> None:
    if curl and not available():
        pytest.skip("needs libcurl")
    # HTTP/2 is what libcurl is needed for; these servers do not speak it.
    outcome = fetch(kind, way, folder, replace(QUICK, http2=curl))
    if (kind, way) in REFUSED:
        assert REFUSED[kind, way] in outcome
        (folder / "got" / NAME).unlink(missing_ok=True)
    else:
        assert outcome == "right"
    assert leftovers(folder / "got") == []
    assert not list((folder / "got").glob(".regather-*"))
