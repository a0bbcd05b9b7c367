"""The table of odd servers: the right bytes come of each, or it is refused; never a wrong file.

``python -m tests.conformance.peers`` asks other tools for the same, for docs/mirrors.md.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from regather.transport.curl import available
from tests.conformance.odd import NAME, QUICK, REFUSED, SIZE, WAYS, fetch, manifest_of
from tests.support.files import leftovers, random_file
from tests.support.odd import ODD, odd_server


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


@pytest.mark.parametrize("kind", ["an ETag for each node", "a date for each node"])
def test_plain_fragments_whose_nodes_differ(folder: Path, tmp_path: Path, kind: str) -> None:
    content = (folder / NAME).read_bytes()
    with odd_server(kind, content) as server:
        with pytest.raises(regather.NotEnoughSourcesError, match="could not be downloaded"):
            regather.download(fragments=[server.url + "1.dat"], dest=tmp_path / "no")
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        regather.download(
            fragments=[server.url + "1.dat"], dest=tmp_path / "got", checksum=checksum
        )
    assert (tmp_path / "got").read_bytes() == content
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("kind", [kind for kind in ODD if "grows" not in kind])
def test_what_is_read_of_an_open_file(folder: Path, kind: str) -> None:
    content = (folder / NAME).read_bytes()
    with (
        odd_server(kind, content) as server,
        regather.open(manifest_of(folder), servers=[server.url], settings=QUICK) as file,
    ):
        file.seek(-1000, os.SEEK_END)
        assert file.read() == content[-1000:]
        file.seek(0)
        assert file.read() == content


@pytest.mark.parametrize("kind", [kind for kind in ODD if "grows" not in kind])
def test_what_is_checked(folder: Path, kind: str) -> None:
    content = (folder / NAME).read_bytes()
    for share in (0, 1):
        with odd_server(kind, content) as server:
            report = regather.check(
                manifest_of(folder), servers=[server.url], read_data=share, settings=QUICK
            )
        assert report.status == "healthy", report.findings
        assert report.findings[0].read == 3 * share
