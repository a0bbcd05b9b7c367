"""A signed manifest by way of gateways: readers hold it against the key of its publisher."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from regather.errors import VerificationError
from regather.gateway.launch import GatewayServer
from regather.sources.settings import Settings
from regather.sources.signing import sign
from tests.gateway.support import SETTINGS, eventually, get, started
from tests.support.hosting import Hosting
from tests.support.signing import Publisher


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def us(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "us")


def trusting(us: Publisher) -> Settings:
    return replace(SETTINGS, trust=(us.public,))


def test_through_a_chain_of_gateways(us: Publisher, hosting: Hosting, tmp_path: Path) -> None:
    manifest = us.publish()
    server = hosting.serve(manifest.parent)
    first = started(hosting, [f"{server.url}{manifest.name}"], settings=trusting(us))
    second = started(hosting, [first.url], settings=trusting(us))
    report = regather.download(
        f"{second.url}{manifest.name}", tmp_path / "got", settings=trusting(us)
    )
    assert (tmp_path / "got").read_bytes() == (us.folder / "a.bin").read_bytes()
    (digest,) = second.catalogue.by_digest
    assert [source.url for source in report.sources] == [f"{second.url}d/{digest}/"]
    for name in (manifest.name, f"{manifest.name}.minisig"):
        answer = get(second.url, f"d/{digest}/{name}")
        assert answer.body == (manifest.parent / name).read_bytes(), "as its publisher wrote it"
        assert answer.headers["Cache-Control"] == "no-cache", "it may be signed again"
        assert get(second.url, name).headers["Location"] == f"/d/{digest}/{name}"


def test_what_a_gateway_does_not_verify_it_does_not_hand_on(
    us: Publisher, hosting: Hosting, tmp_path: Path
) -> None:
    manifest = us.publish()
    gateway = started(hosting, [manifest])
    with pytest.raises(VerificationError, match="no signature"):
        regather.download(f"{gateway.url}{manifest.name}", tmp_path / "got", settings=trusting(us))
    (manifest.parent / f"{manifest.name}.minisig").unlink()
    with pytest.raises(VerificationError, match="no signature"):
        started(hosting, [manifest], settings=trusting(us))


def test_a_manifest_that_is_signed_again(us: Publisher, hosting: Hosting) -> None:
    """The signature changes, and neither the manifest nor the digest."""
    manifest = us.publish(version=1)
    gateway = started(hosting, [manifest], settings=trusting(us))
    before = get(gateway.url, f"d/{digest_of(gateway)}/{manifest.name}.minisig")
    sign(manifest, us.key, 2)
    after = (manifest.parent / f"{manifest.name}.minisig").read_bytes()
    path = f"d/{digest_of(gateway)}/{manifest.name}.minisig"
    assert eventually(lambda: get(gateway.url, path).body == after)
    assert before.headers["ETag"] != get(gateway.url, path).headers["ETag"]


def digest_of(gateway: GatewayServer) -> str:
    (digest,) = gateway.catalogue.by_digest
    return digest


def test_only_the_folder_of_its_own_digest_stands_for_a_gateway(
    us: Publisher, hosting: Hosting, tmp_path: Path
) -> None:
    """Elsewhere, the sources that a manifest names are asked, as its publisher meant it."""
    us.publish(version=None)
    server = hosting.serve(us.folder)
    at = [f"{server.url}at/"]
    split = regather.split(us.folder / "a.bin", us.folder / "at", at=at, force=True)
    for digest, sources in ((split.digest, 1), ("0" * 64, 2)):
        folder = us.folder / "d" / digest
        folder.mkdir(parents=True)
        for path in (us.folder / "at").iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        report = regather.download(f"{server.url}d/{digest}/a.bin.regather.json", tmp_path / digest)
        assert len(report.sources) == sources
