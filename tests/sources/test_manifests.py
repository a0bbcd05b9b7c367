"""A manifest or a metalink whose URL does not say so: recognised by its start, and fetched once."""

from __future__ import annotations

import re
import socket

import pytest

import regather
from regather.errors import ManifestError
from regather.metalink.values import MetalinkFile, Mirror
from regather.metalink.write import write_metalink
from regather.sources.jobs import DownloadJob
from regather.sources.probing import Prober
from regather.sources.recognise import expand_job, resolve_targets
from regather.transport import TransportOptions
from tests.support.rogue import Rogue
from tests.support.small import small

_RANGE = re.compile(rb"range: bytes=(\d+)-(\d+)", re.IGNORECASE)


def manifest_of(fragments: int) -> bytes:
    return small([1] * fragments).manifest.to_bytes()


class Host:
    """Serves one document at any path, with ranges and a tag; counts its bytes that it sent."""

    def __init__(self, *versions: bytes) -> None:
        """Each request gets the next version, the last one for ever."""
        self._versions = list(versions)
        self.sent = 0

    def answer(self, head: bytes, connection: socket.socket) -> None:
        content = self._versions.pop(0) if len(self._versions) > 1 else self._versions[0]
        match = _RANGE.search(head)
        tag = f'"{hash(content)}"'.encode()
        start, stop = 0, len(content)
        line = b"HTTP/1.1 200 OK\r\n"
        if match and (b"if-range" not in head.lower() or tag in head):
            start, stop = int(match[1]), min(int(match[2]) + 1, len(content))
            line = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n" % (
                *(start, stop - 1),
                len(content),
            )
        fields = b"Content-Length: %d\r\nETag: %s\r\nConnection: close\r\n\r\n"
        connection.sendall(line + fields % (stop - start, tag) + content[start:stop])
        self.sent += stop - start


def resolved(url: str) -> str:
    prober = Prober(TransportOptions(timeout=10), None)
    (job,) = expand_job(DownloadJob((url,)), prober)
    (target,) = resolve_targets(job, prober)
    return target.digest


@pytest.mark.parametrize("fragments", [3, 600])
def test_no_byte_of_it_comes_twice(fragments: int) -> None:
    document = manifest_of(fragments)
    assert (len(document) > 16 << 10) == (fragments == 600)
    host = Host(document)
    with Rogue(host.answer) as rogue:
        digest = resolved(rogue.url + "latest")
    assert digest == regather.Manifest.from_bytes(document).digest
    assert host.sent == len(document)
    assert len(rogue.requests) == (2 if fragments == 600 else 1)


@pytest.mark.parametrize("files", [1, 200])
def test_nor_of_a_metalink(files: int) -> None:
    mirrors = (Mirror("http://a.example/f"),)
    document = write_metalink([MetalinkFile(f"f{n}", 1, (), (), mirrors) for n in range(files)])
    assert (len(document) > 16 << 10) == (files == 200)
    host = Host(document)
    with Rogue(host.answer) as rogue:
        jobs = expand_job(DownloadJob((rogue.url + "latest",)), Prober(TransportOptions(), None))
    assert [job.file.name for job in jobs if job.file] == [f"f{n}" for n in range(files)]
    assert host.sent == len(document)
    assert len(rogue.requests) == (2 if files == 200 else 1)


@pytest.mark.parametrize("fragments", [3, 600])
def test_of_two_copies_one_is_fetched_and_once(fragments: int) -> None:
    document = manifest_of(fragments)
    hosts = Host(document), Host(document)
    with Rogue(hosts[0].answer) as one, Rogue(hosts[1].answer) as other:
        job = DownloadJob(tuple(rogue.url + "f.regather.json" for rogue in (one, other)))
        (target,) = resolve_targets(job, Prober(TransportOptions(), None))
    assert target.digest == regather.Manifest.from_bytes(document).digest
    # Both are looked at; the rest, where there is one, comes from one of them.
    most = len(document) + min(len(document), 16 << 10)
    assert sum(host.sent for host in hosts) <= most
    assert len(one.requests) + len(other.requests) <= (3 if fragments == 600 else 2)


def test_one_that_changes_after_the_first_look_comes_whole() -> None:
    old, new = manifest_of(600), manifest_of(601)
    with Rogue(Host(old, new).answer) as rogue:
        assert resolved(rogue.url + "latest") == regather.Manifest.from_bytes(new).digest


def test_what_only_begins_like_one_is_refused() -> None:
    document = manifest_of(3)[:-10]
    with Rogue(Host(document).answer) as rogue, pytest.raises(ManifestError):
        resolved(rogue.url + "latest")
