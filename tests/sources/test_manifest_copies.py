"""The same manifest at several places: one of them is enough, and all their folders are sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import regather
from regather.names import MANIFEST_SUFFIX
from regather.server.run import Server
from tests.support.files import random_file
from tests.support.hosting import Hosting

QUICK = regather.Settings(sync=False, retries=1)


class Hosts:
    """A file on three servers, any one of which may be off."""

    def __init__(self, folder: Path, hosting: Hosting) -> None:
        self.original = random_file(folder / "f", 300_000)
        self.folders = [folder / f"host{n}" for n in range(3)]
        self.digest = regather.publish(self.original, self.folders, parity=1).digest
        self.hosting = hosting
        self.servers: list[Server] = [hosting.serve(path) for path in self.folders]

    @property
    def manifests(self) -> list[str]:
        return [f"{server.url}f{MANIFEST_SUFFIX}" for server in self.servers]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with Hosting() as hosting:
        yield Hosts(tmp_path, hosting)


@pytest.mark.parametrize("off", range(3))
def test_any_server_may_be_off(hosts: Hosts, off: int, tmp_path: Path) -> None:
    hosts.hosting.kill(hosts.servers[off])
    report = regather.download(hosts.manifests, tmp_path / "got", settings=QUICK)
    assert (tmp_path / "got").read_bytes() == hosts.original.read_bytes()
    assert report.digest == hosts.digest
    # The manifest names no source here: those who delivered were found by its places.
    assert {s.url for s in report.sources} == {server.url for server in hosts.servers}
    (note,) = [n for n in report.notes if "the manifest was read from" in n]
    assert hosts.servers[off].url.rstrip("/").partition("://")[2] in note


@pytest.mark.parametrize("wrong", [b"<html>", b"{}", b'{"format": "regather/1"'])
def test_one_that_is_damaged_is_passed_over(hosts: Hosts, wrong: bytes, tmp_path: Path) -> None:
    (hosts.folders[0] / f"f{MANIFEST_SUFFIX}").write_bytes(wrong)
    regather.download(hosts.manifests, tmp_path / "got", settings=QUICK)
    assert (tmp_path / "got").read_bytes() == hosts.original.read_bytes()


def test_a_pinned_one_is_found_among_others(hosts: Hosts, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = random_file(tmp_path / "other" / "f", 300_000, seed=7)
    regather.publish(other, [tmp_path / "elsewhere"], replicas=1, survive=0)
    foreign = tmp_path / "elsewhere" / f"f{MANIFEST_SUFFIX}"
    places = [str(foreign), *hosts.manifests]
    regather.download(places, tmp_path / "got", digest=hosts.digest, settings=QUICK)
    assert (tmp_path / "got").read_bytes() == hosts.original.read_bytes()
    with pytest.raises(regather.VerificationError):
        regather.download([str(foreign)] * 2, tmp_path / "x", digest=hosts.digest, settings=QUICK)


def test_none_is_available(hosts: Hosts, tmp_path: Path) -> None:
    for server in hosts.servers:
        hosts.hosting.kill(server)
    with pytest.raises(regather.NotEnoughSourcesError, match="any of its 3 places") as caught:
        regather.download(hosts.manifests, tmp_path / "got", settings=QUICK)
    assert len(caught.value.details) == 3
    assert list(caught.value.missing) == hosts.manifests
    assert not (tmp_path / "got").exists()


def test_a_manifest_beside_a_plain_file_is_refused(hosts: Hosts, tmp_path: Path) -> None:
    plain = f"{hosts.servers[0].url}file_fragment_1.dat"
    with pytest.raises(regather.UsageError, match="mirrors of the same file"):
        regather.download([hosts.manifests[0], plain], tmp_path / "got", settings=QUICK)
