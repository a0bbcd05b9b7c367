"""Whole files from servers that say odd things of them: with a checksum it decides."""

from __future__ import annotations

import hashlib
import random
import re
import shutil
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from regather.transport import HttpConnection, TransportOptions
from tests.support.rogue import Answer, Rogue
from tests.support.trees import make_tree

CONTENT = random.Random(1).randbytes(200_000)
PAGE = b"<!DOCTYPE html><html>log in</html>"
GZIP = b"Content-Encoding: gzip\r\n"
HTML = b"Content-Type: Text/HTML;charset=utf-8\r\n"


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def serves(content: bytes, lines: bytes, *, ranges: bool = True) -> Answer:
    def serve(head: bytes, connection: socket.socket) -> None:
        asked = re.search(rb"(?i)range: bytes=(\d+)-(\d+)", head) if ranges else None
        if asked is None:
            status, part, more = b"200 OK", content, b""
        else:
            start, stop = int(asked[1]), min(int(asked[2]) + 1, len(content))
            status, part = b"206 Partial Content", content[start:stop]
            more = b"Content-Range: bytes %d-%d/%d\r\n" % (start, stop - 1, len(content))
        body = b"" if head.startswith(b"HEAD") else part
        connection.sendall(
            b"HTTP/1.1 %b\r\n%b%bContent-Length: %d\r\n\r\n%b"
            % (status, lines, more, len(part), body)
        )

    return serve


def settings(*, libcurl: bool) -> regather.Settings:
    return regather.Settings(http2=libcurl, sync=False, timeout=5, retries=1)


@pytest.mark.parametrize("libcurl", [False, True])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("lines", "bare"),
    [
        (b"Content-Encoding: aws-chunked\r\n", True),
        (b"Content-Encoding: UTF-8\r\n", True),
        (GZIP, False),
        (HTML, True),  # no page has such bytes
        (HTML + b"Content-Disposition: attachment; filename=f.bin\r\n", True),
    ],
)
def test_odd_and_right(
    lines: bytes, bare: bool, ranges: bool, libcurl: bool, tmp_path: Path
) -> None:
    with Rogue(serves(CONTENT, lines, ranges=ranges)) as rogue:
        url, dest = rogue.url + "download?id=7", tmp_path / "f"
        how = settings(libcurl=libcurl)
        regather.download(url, dest, checksum=sha256(CONTENT), settings=how)
        assert dest.read_bytes() == CONTENT
        dest.unlink()
        if bare:
            regather.download(url, dest, settings=how)
            assert dest.read_bytes() == CONTENT
        else:
            with pytest.raises(regather.NotEnoughSourcesError, match="Content-Encoding gzip"):
                regather.download(url, dest, settings=how)
            assert not dest.exists()


@pytest.mark.parametrize(
    ("content", "lines", "told"),
    [
        (CONTENT, GZIP, "sends it with Content-Encoding gzip, although it was declined"),
        (PAGE, HTML, "sent a web page, not a file"),
        (b"", b"", "the sources have an empty file: sha256 is e3b0c442"),
    ],
)
def test_why_an_answer_may_be_another_file_is_told(
    content: bytes, lines: bytes, told: str, tmp_path: Path
) -> None:
    """Where the checksum is not that of what came."""
    with Rogue(serves(content, lines)) as rogue, pytest.raises(regather.VerificationError) as error:
        regather.download(
            rogue.url + "f",
            tmp_path / "f",
            checksum=sha256(b"something else"),
            settings=settings(libcurl=False),
        )
    assert told in "\n".join((str(error.value), *error.value.details))
    assert not (tmp_path / "f").exists()


def parts_as_whole(head: bytes, connection: socket.socket) -> None:
    asked = re.search(rb"(?i)range: bytes=(\d+)-(\d+)", head)
    part = CONTENT[int(asked[1]) : int(asked[2]) + 1] if asked else CONTENT
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(part), part))


def parts_with_their_length_as_total(head: bytes, connection: socket.socket) -> None:
    asked = re.search(rb"(?i)range: bytes=(\d+)-(\d+)", head)
    if asked is None:
        serves(CONTENT, b"")(head, connection)
        return
    start, stop = int(asked[1]), int(asked[2]) + 1
    connection.sendall(
        b"HTTP/1.1 206 P\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%b"
        % (start, stop - 1, stop - start, stop - start, CONTENT[start:stop])
    )


def nothing_for_ranges(head: bytes, connection: socket.socket) -> None:
    if b"range:" in head.lower():
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    else:
        serves(CONTENT, b"")(head, connection)


def none_to_range(head: bytes, connection: socket.socket) -> None:
    if b"range:" in head.lower():
        lines = b"Content-Range: bytes */0\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(b"HTTP/1.1 416 R\r\n" + lines)
    else:
        serves(CONTENT, b"")(head, connection)


def breaks_at_ranges(head: bytes, connection: socket.socket) -> None:
    if b"range:" not in head.lower():
        serves(CONTENT, b"")(head, connection)


@pytest.mark.parametrize("libcurl", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        parts_as_whole,
        parts_with_their_length_as_total,
        nothing_for_ranges,
        none_to_range,
        breaks_at_ranges,
    ],
)
def test_what_only_a_request_without_a_range_brings(
    answer: Answer, libcurl: bool, tmp_path: Path
) -> None:
    how = replace(settings(libcurl=libcurl), retries=5)
    with Rogue(answer) as rogue:
        for checksum in ((), sha256(CONTENT)):
            dest = tmp_path / f"f{bool(checksum)}"
            regather.download(rogue.url + "f", dest, checksum=checksum, settings=how)
            assert dest.read_bytes() == CONTENT


def test_fragments_that_only_a_request_without_a_range_brings(tmp_path: Path) -> None:
    original = tmp_path / "file.bin"
    original.write_bytes(CONTENT)
    out = tmp_path / "split"
    regather.split(original, out, fragments=1)
    (out / "file_fragment_1.dat").unlink()
    how = settings(libcurl=False)
    with Rogue(none_to_range) as rogue:
        manifest = out / "file.bin.regather.json"
        regather.download(manifest, tmp_path / "f", servers=[rogue.url], settings=how)
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [0, 16 << 10])
def test_a_size_that_was_asked_for_twice_says_nothing_of_ranges(size: int, tmp_path: Path) -> None:
    options = TransportOptions()
    with Rogue(serves(CONTENT[:size], b"", ranges=size > 0)) as rogue:
        connection = HttpConnection(options)
        look = connection.look(rogue.url + "f", 16 << 10)
        connection.close()
    assert (look.size, look.start, look.ranged) == (size, CONTENT[:size], size > 0)
    assert not any(manner.whole for manner in options.manners.values())


def test_a_head_as_long_as_curl_reads_it(tmp_path: Path) -> None:
    lines = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 1000) for n in range(200))
    with Rogue(serves(CONTENT, lines)) as rogue:
        regather.download(rogue.url + "f", tmp_path / "f", settings=settings(libcurl=False))
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_page_in_the_place_of_a_file(tmp_path: Path) -> None:
    dest = tmp_path / "disk.iso"
    with Rogue(serves(PAGE, HTML)) as rogue:
        with pytest.raises(regather.NotEnoughSourcesError, match="web page"):
            regather.download(rogue.url + "disk.iso", dest, settings=settings(libcurl=False))
        with pytest.raises(regather.VerificationError):
            regather.download(
                rogue.url + "disk.iso",
                dest,
                checksum=sha256(CONTENT),
                settings=settings(libcurl=False),
            )
        with pytest.raises(regather.NotEnoughSourcesError, match="web page"):
            regather.download(
                fragments=[rogue.url + "f1"], dest=dest, settings=settings(libcurl=False)
            )
    assert not dest.exists()


@pytest.mark.parametrize("checksum", ["", sha256(CONTENT)])
def test_beside_a_mirror_that_has_it(checksum: str, tmp_path: Path) -> None:
    dest = tmp_path / "f"
    with Rogue(serves(PAGE, HTML)) as rogue, Rogue(serves(CONTENT, b"")) as good:
        report = regather.download(
            [rogue.url + "f", good.url + "f"],
            dest,
            checksum=checksum or (),
            settings=settings(libcurl=False),
        )
    assert dest.read_bytes() == CONTENT
    assert any("web page" in note for note in report.notes)


def test_fragments_of_a_manifest(tmp_path: Path) -> None:
    original = tmp_path / "file.bin"
    original.write_bytes(CONTENT)
    out = tmp_path / "split"
    regather.split(original, out, fragments=1)
    for lines in (GZIP, HTML, b"Content-Encoding: binary\r\n"):
        with Rogue(serves(CONTENT, lines)) as rogue:
            dest = tmp_path / "dest"
            dest.unlink(missing_ok=True)
            report = regather.download(
                out / "file.bin.regather.json",
                dest,
                servers=[rogue.url],
                settings=settings(libcurl=False),
            )
            assert dest.read_bytes() == CONTENT
            assert [source.useful for source in report.sources] == [len(CONTENT)]
            found = regather.check(
                out / "file.bin.regather.json", servers=[rogue.url], read_data=1.0
            )
            assert not found.lost


def test_a_selection_of_a_whole_answer_takes_no_room_for_the_rest(tmp_path: Path) -> None:
    """The server knows no ranges: what comes before the chosen file is received, not stored."""
    tree = make_tree(tmp_path / "tree")
    published = regather.publish(tree, tmp_path / "hosted", fragments=1, survive=0)
    (fragment,) = (tmp_path / "hosted").glob("*fragment*")
    manifest = shutil.move(published.manifests[0], tmp_path / "tree.regather.json")
    with Rogue(serves(fragment.read_bytes(), b"", ranges=False)) as rogue:
        report = regather.download(
            manifest,
            tmp_path / "dest",
            servers=[rogue.url],
            select="deep/secret",
            settings=settings(libcurl=False),
        )
    assert (tmp_path / "dest" / "deep" / "secret").read_text() == "mine\n"
    (source,) = report.sources
    assert source.received > source.useful == report.size


def test_a_manifest_at_a_signed_address(tmp_path: Path) -> None:
    """Its folder is where it is; the query, slashes and all, is no part of that."""
    original = tmp_path / "file.bin"
    original.write_bytes(CONTENT)
    out = tmp_path / "split"
    regather.split(original, out, fragments=2)

    def serve(head: bytes, connection: socket.socket) -> None:
        path = head.split(b" ")[1].decode().partition("?")[0]
        if not path.startswith("/deep/"):
            location = f"/deep{path}?X-Credential=a/b/c&sig=5e5ec7e7" if "json" in path else "/"
            answer = f"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n"
            connection.sendall(answer.encode())
            return
        serves((out / path[6:]).read_bytes(), b"")(head, connection)

    with Rogue(serve) as rogue:
        report = regather.download(
            rogue.url + "file.bin.regather.json",
            tmp_path / "dest",
            settings=settings(libcurl=False),
        )
    assert (tmp_path / "dest").read_bytes() == CONTENT
    assert [source.url for source in report.sources] == [rogue.url + "deep/"]
