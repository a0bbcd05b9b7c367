"""Which files a gateway has while its manifests come, change, break and go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from regather.gateway.hosted import Response
from regather.gateway.launch import GatewayServer, prepared
from tests.gateway.support import SETTINGS
from tests.support.net import free_port
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


def test_a_look_makes_no_documents_again(tmp_path: Path) -> None:
    """The manifest of a large file takes the event loop a while."""
    write(tmp_path, "a", part(1))
    gateway = made(tmp_path)
    look(gateway)
    (hosted,) = gateway.catalogue.files
    before = hosted.documents
    look(gateway)
    assert gateway.catalogue.files == [hosted]
    assert hosted.documents is before


def test_a_folder_that_cannot_be_read_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known of it holds; what changes beside it is seen."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "m", "one", part(1)).with_name("broken.regather.json").write_text("[]")
    beside = write(tmp_path / "m2", "two", part(2))
    gateway = made(tmp_path / "m2", "./m")
    one = part(1).manifest.digest
    assert set(look(gateway)) == {one, part(2).manifest.digest}
    (tmp_path / "m").rename(tmp_path / "away")
    beside.write_bytes(part(3).manifest.to_bytes())
    look(gateway)
    assert gateway.catalogue.by_name["small"].digest == part(3).manifest.digest
    assert one in {found.manifest.digest for found in gateway.catalogue.scan().values()}


def test_what_was_replaced_is_served_by_its_digest_for_a_while(tmp_path: Path) -> None:
    """Sixteen of them, and those that somebody still reads."""
    digests = []
    for seed in range(20):
        write(tmp_path, "a", part(seed))
        digests.append(part(seed).manifest.digest)
        if not seed:
            gateway = made(tmp_path)
            (read,) = gateway.catalogue.by_digest.values()
            read.responses[Response("to a client", 0.0)] = None
        served = look(gateway)
    assert served == [digests[19], *digests[18:2:-1], digests[0]]
    assert gateway.catalogue.by_name["small"].digest == digests[19]
    kept = gateway.catalogue.by_digest[digests[3]]
    session = kept.session
    for _ in range(20):
        assert look(gateway) == served
    assert kept.live is session, "it is not closed as time goes by"
    read.responses.clear()
    assert look(gateway) == [digests[19], *digests[18:2:-1]]
    gateway.catalogue.close()


def test_a_fragment_of_two_files_has_no_address_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a", part(1))
    gateway = made(tmp_path)
    (one,) = gateway.catalogue.by_digest.values()
    assert gateway.catalogue.fragments == {"file_fragment_1.dat": one}
    write(tmp_path, "b", part(2))
    look(gateway)
    assert gateway.catalogue.fragments == {"file_fragment_1.dat": None}


def test_hidden_manifests_are_left_alone(tmp_path: Path) -> None:
    """Whoever writes a manifest may write it under such a name first."""
    write(tmp_path, ".a", part(1))
    assert look(made(tmp_path)) == []


def test_a_server_that_is_off_at_the_start_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What other places have is served meanwhile."""
    url = f"http://127.0.0.1:{free_port()}/b.regather.json"
    gateway = made(write(tmp_path, "a", part(1)), url)
    assert look(gateway) == [part(1).manifest.digest]
    (said,) = [r.getMessage() for r in caplog.records if r.name == "regather.gateway"]
    assert said.startswith(f"{url}: ")
