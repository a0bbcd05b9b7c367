"""Which files a gateway has while its manifests come, change, break and go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from regather.gateway.launch import GatewayServer, prepared
from tests.gateway.support import SETTINGS
from tests.support.small import PIECE, Small, small


def made(*places: object) -> GatewayServer:
    """A gateway that does not listen: its manifests are looked at when a test does."""
    return prepared([str(place) for place in places], settings=SETTINGS)()


def look(gateway: GatewayServer) -> list[str]:
    """Look at the manifests again; returns the digests that are served."""
    gateway.catalogue.adopt(gateway.catalogue.scan())
    return list(gateway.catalogue.by_digest)


def write(folder: Path, name: str, part: Small) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.regather.json"
    path.write_bytes(part.manifest.to_bytes())
    return path


def part(seed: int) -> Small:
    """One that names its source, which nobody asks for anything here."""
    return small([4 * PIECE], seed=seed).at({"http://source.example/": [1]})


def test_each_complaint_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A look is taken every two seconds, for months."""
    one = write(tmp_path, "a", part(1))
    write(tmp_path, "b", part(2))
    broken = tmp_path / "c.regather.json"
    broken.write_text("[]")
    gateway = made(tmp_path)
    served = look(gateway)
    one.write_text("{}")
    for _ in range(3):
        assert look(gateway) == served, "what was known of it holds"

    def complaints() -> dict[str, int]:
        logged = [r.getMessage() for r in caplog.records if r.name == "regather.gateway"]
        return Counter(text[len(f"{tmp_path}/")] for text in logged)

    assert complaints() == {"a": 1, "b": 1, "c": 1}
    write(tmp_path, "a", part(1))
    look(gateway)
    one.write_text("{}")
    look(gateway)
    assert complaints() == {"a": 2, "b": 1, "c": 1}


def test_a_folder_that_cannot_be_read_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known of it holds; what changes beside it is seen."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "m", "one", part(1))
    beside = write(tmp_path / "m2", "two", part(2))
    gateway = made(tmp_path / "m2", "./m")
    one = part(1).manifest.digest
    assert set(look(gateway)) == {one, part(2).manifest.digest}
    (tmp_path / "m").rename(tmp_path / "away")
    beside.write_bytes(part(3).manifest.to_bytes())
    look(gateway)
    assert gateway.catalogue.by_name["small"].digest == part(3).manifest.digest
    assert one in {found.manifest.digest for found in gateway.catalogue.scan().values()}
