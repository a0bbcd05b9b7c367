"""Servers that lie about lengths, ranges and codings: never a wrong byte, always an end."""

from __future__ import annotations

import gzip
import re
import socket
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from tests.support.files import MIB, alone, random_file
from tests.support.hosting import Hosting
from tests.support.rogue import Answer, Rogue, sends

SIZE = 2 * MIB + 100
QUICK = regather.Settings(timeout=0.5, connect_timeout=1, retries=1, sync=False)
STAUNCH = replace(QUICK, retries=6)
"""Soon thinks a server silent, and yet lets one that is slow because all is try again."""


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_file(tmp_path_factory.mktemp("rogue") / "file.bin", SIZE)


@pytest.fixture
def manifest(content: Path, tmp_path: Path) -> str:
    regather.split(content, tmp_path / "out", fragments=1)
    return str(alone(tmp_path / "out" / "file.bin.regather.json"))


def ranged(data: bytes, head: bytes, *, shift: int = 0, total: str = "") -> bytes:
    """A correct answer to a ranged GET, or one that is off in one way; 206 also without a range."""
    if head.startswith(b"HEAD"):
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data)
    match = re.search(rb"range: bytes=(\d+)-(\d+)", head, re.IGNORECASE)
    first, last = (int(match[1]), int(match[2])) if match else (0, len(data) - 1)
    start, stop = first + shift, last + 1 + shift
    body = data[start:stop]
    return (
        f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(body)}\r\n"
        f"Content-Range: bytes {start}-{stop - 1}/{total or len(data)}\r\n\r\n"
    ).encode() + body


def lies(data: bytes) -> dict[str, Answer]:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b"
    packed = gzip.compress(data)

    def shifted(head: bytes, connection: socket.socket) -> None:
        connection.sendall(ranged(data, head, shift=1))

    def other_total(head: bytes, connection: socket.socket) -> None:
        connection.sendall(ranged(data, head, total="99"))

    def claims_right_sends_wrong(head: bytes, connection: socket.socket) -> None:
        connection.sendall(ranged(bytes(len(data)), head))

    def no_content_range(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello")

    def endless(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            connection.sendall(bytes(65536))

    def endless_head(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        until = time.monotonic() + 5
        while time.monotonic() < until:
            connection.sendall(b"X-A: b\r\n" * 1000)

    def interim_for_ever(head: bytes, connection: socket.socket) -> None:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.01)

    def silent(head: bytes, connection: socket.socket) -> None:
        connection.recv(1)

    def stalls_in_the_middle(head: bytes, connection: socket.socket) -> None:
        connection.sendall(ranged(data, head)[:1000])
        connection.recv(1)

    def redirects_for_ever(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")

    def multipart(head: bytes, connection: socket.socket) -> None:
        body = b"--B\r\nContent-Range: bytes 0-4/5\r\n\r\nhello\r\n--B--"
        connection.sendall(
            b"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=B\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    return {
        "longer": sends(whole % (len(data) + 10, b"", data + bytes(10))),
        "shorter": sends(whole % (len(data) - 10, b"", data[:-10])),
        "cut": sends(whole % (len(data), b"", data[:1000])),
        "web page": sends(whole % (20, b"Content-Type: text/html\r\n", b"<html>Sign in</html>")),
        "gzip": sends(whole % (len(packed), b"Content-Encoding: gzip\r\n", packed)),
        "short chunked": sends(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
        "invalid chunked": sends(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nhello\r\n"
        ),
        "not http": sends(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        "nothing": sends(),
        "half a head": sends(b"HTTP/1.1 200 OK\r\nContent-Le"),
        "negative length": sends(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        "two lengths": sends(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"
        ),
        "416": sends(b"HTTP/1.1 416 No\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n"),
        "204": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "418": sends(b"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n"),
        "to a file": sends(
            b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"
        ),
        "to https on no port of ours": sends(
            b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n"
        ),
        "to no url": sends(
            b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n"
        ),
        "to an impossible host": sends(
            b"HTTP/1.1 302 Found\r\nLocation: http://a..b/\r\nContent-Length: 0\r\n\r\n"
        ),
        "interim for ever": interim_for_ever,
        "lies late, ignoring ranges": sends(
            whole % (len(data), b"", data[:MIB] + bytes(max(0, len(data) - MIB)))
        ),
        "always cut after the first piece": sends(whole % (len(data), b"", data[: MIB + 9])),
        "escapes": sends(whole % (3, b"Content-Encoding: \x1b]0;t\x07\r\n", b"abc")),
        "shifted": shifted,
        "other total": other_total,
        "claims right, sends wrong": claims_right_sends_wrong,
        "no content-range": no_content_range,
        "endless": endless,
        "endless head": endless_head,
        "silent": silent,
        "stalls in the middle": stalls_in_the_middle,
        "redirects for ever": redirects_for_ever,
        "multipart": multipart,
    }


LIES = sorted(lies(b"x" * 5000))


@pytest.mark.parametrize("lie", LIES)
def test_alone_a_liar_gets_nowhere(content: Path, manifest: str, tmp_path: Path, lie: str) -> None:
    with Rogue(lies(content.read_bytes())[lie]) as rogue:
        began = time.monotonic()
        with pytest.raises((regather.NotEnoughSourcesError, regather.VerificationError)) as caught:
            regather.download(manifest, tmp_path / "got", servers=[rogue.url], settings=QUICK)
        assert time.monotonic() - began < 60
        assert len(rogue.requests) < 100
    told = "\n".join(caught.value.details)
    assert rogue.url.split("/")[2] in told
    assert "\x1b" not in told
    assert not (tmp_path / "got").exists()


@pytest.mark.parametrize("lie", LIES)
def test_beside_an_honest_server_a_liar_does_not_matter(
    content: Path, manifest: str, tmp_path: Path, hosting: Hosting, lie: str
) -> None:
    honest = hosting.serve(tmp_path / "out")
    with Rogue(lies(content.read_bytes())[lie]) as rogue:
        regather.download(
            manifest, tmp_path / "got", servers=[rogue.url, honest.url], settings=STAUNCH
        )
    assert (tmp_path / "got").read_bytes() == content.read_bytes()


@pytest.mark.parametrize("lie", ["web page", "not http", "gzip", "silent", "418", "shifted", "cut"])
def test_plain_fragments_from_a_liar(content: Path, tmp_path: Path, lie: str) -> None:
    with (
        Rogue(lies(content.read_bytes())[lie]) as rogue,
        pytest.raises(regather.RegatherError),
    ):
        regather.download(
            fragments=[rogue.url + "file_fragment_1.dat"], dest=tmp_path / "got", settings=QUICK
        )
    assert not (tmp_path / "got").exists()


def test_chunked_coding_is_understood(content: Path, manifest: str, tmp_path: Path) -> None:
    data = content.read_bytes()

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(data), 100_000):
            some = data[at : at + 100_000]
            connection.sendall(b"%x\r\n%b\r\n" % (len(some), some))
        connection.sendall(b"0\r\n\r\n")

    with Rogue(answer) as rogue:
        regather.download(manifest, tmp_path / "got", servers=[rogue.url], settings=STAUNCH)
    assert (tmp_path / "got").read_bytes() == data


def test_a_body_up_to_the_end_of_the_connection(
    content: Path, manifest: str, tmp_path: Path
) -> None:
    data = content.read_bytes()
    with Rogue(sends(b"HTTP/1.0 200 OK\r\n\r\n", data)) as rogue:
        regather.download(manifest, tmp_path / "got", servers=[rogue.url], settings=STAUNCH)
    assert (tmp_path / "got").read_bytes() == data


def test_redirects_are_followed_and_remembered(
    content: Path, manifest: str, tmp_path: Path, hosting: Hosting
) -> None:
    real = hosting.serve(tmp_path / "out")
    there = f"{real.url}file_fragment_1.dat".encode()
    answer = b"HTTP/1.1 302 Found\r\nLocation: " + there + b"\r\nContent-Length: 0\r\n\r\n"
    with Rogue(sends(answer)) as rogue:
        regather.download(manifest, tmp_path / "got", servers=[rogue.url])
        assert len(rogue.requests) == 1
    assert (tmp_path / "got").read_bytes() == content.read_bytes()


@pytest.mark.parametrize(
    ("start", "drop"),
    [(b"HTTP/1.1 200 OK\r\nX-A: ", b"b"), (b"", b"HTTP/1.1 102 Processing\r\n\r\n")],
    ids=["letters", "interim heads"],
)
def test_a_head_that_trickles_without_end_is_given_up(
    manifest: str, tmp_path: Path, start: bytes, drop: bytes
) -> None:
    """Each drop comes in time; the head as a whole does not. Without that bound this would hang."""

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(start)
        while True:  # until the other side has gone
            connection.sendall(drop)
            time.sleep(0.02)

    with Rogue(answer) as rogue, pytest.raises(regather.NotEnoughSourcesError) as caught:
        regather.download(manifest, tmp_path / "got", servers=[rogue.url], settings=QUICK)
    assert "no response for 0.5 s" in "\n".join(caught.value.details)


def test_a_manifest_that_is_redirected(
    content: Path, manifest: str, tmp_path: Path, hosting: Hosting
) -> None:
    """Its fragments are beside where it was found, in another folder on another server."""
    (tmp_path / "served").mkdir()
    (tmp_path / "out").rename(tmp_path / "served" / "v2")
    real = hosting.serve(tmp_path / "served")
    there = f"{real.url}v2/file.bin.regather.json".encode()
    answer = b"HTTP/1.1 302 Found\r\nLocation: " + there + b"\r\nContent-Length: 0\r\n\r\n"
    with Rogue(sends(answer)) as rogue:
        report = regather.download(rogue.url + "latest", tmp_path / "got")
        assert len(rogue.requests) == 1
    assert [s.url for s in report.sources] == [real.url + "v2/"]
    assert (tmp_path / "got").read_bytes() == content.read_bytes()


def test_a_remembered_redirect_that_expires_is_asked_for_again(
    content: Path, manifest: str, tmp_path: Path
) -> None:
    data = content.read_bytes()
    signed = 0
    used = 0

    def answer(head: bytes, connection: socket.socket) -> None:
        nonlocal signed, used
        if b"/signed/" not in head:
            signed += 1
            used = 0
            where = b"/signed/%d" % signed
            connection.sendall(
                b"HTTP/1.1 302 Found\r\nLocation: " + where + b"\r\nContent-Length: 0\r\n\r\n"
            )
            return
        used += 1
        if used > 1:  # good for one request only
            connection.sendall(b"HTTP/1.1 403 Expired\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(ranged(data, head))

    settings = regather.Settings(timeout=2, connections=1, sync=False)
    with Rogue(answer) as rogue:
        regather.download(manifest, tmp_path / "got", servers=[rogue.url], settings=settings)
    assert signed > 1
    assert (tmp_path / "got").read_bytes() == data


def test_retry_after_is_honoured(content: Path, manifest: str, tmp_path: Path) -> None:
    data = content.read_bytes()
    times: list[float] = []

    def answer(head: bytes, connection: socket.socket) -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            connection.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(ranged(data, head))

    with Rogue(answer) as rogue:
        regather.download(manifest, tmp_path / "got", servers=[rogue.url], settings=STAUNCH)
    assert times[1] - times[0] >= 1.0
    assert (tmp_path / "got").read_bytes() == data


def test_a_plain_fragment_that_changes_is_noticed(tmp_path: Path) -> None:
    old, new = bytes(3 * MIB), b"x" * (3 * MIB)
    asked = 0

    def answer(head: bytes, connection: socket.socket) -> None:
        nonlocal asked
        if head.startswith(b"HEAD"):
            connection.sendall(
                b'HTTP/1.1 200 OK\r\nETag: "one"\r\nContent-Length: %d\r\n\r\n' % len(old)
            )
            return
        asked += 1
        data, tag = (old, b'"one"') if asked < 2 else (new, b'"two"')
        reply = ranged(data, head)
        connection.sendall(reply.replace(b"\r\n\r\n", b"\r\nETag: " + tag + b"\r\n\r\n", 1))

    with Rogue(answer) as rogue, pytest.raises(regather.NotEnoughSourcesError) as caught:
        regather.download(fragments=[rogue.url + "f.dat"], dest=tmp_path / "got", settings=QUICK)
    assert "changed" in "\n".join(caught.value.details)
    assert not (tmp_path / "got").exists()


# -- drops of a body --------------------------------------------------------------------------


def drips(data: bytes, *, status: str = "") -> Answer:
    """Sends a byte now and then, for as long as anybody waits: never silent for long."""

    def answer(head: bytes, connection: socket.socket) -> None:
        reply = ranged(data, head) if head[:4] in (b"GET ", b"HEAD") else b""
        if status:
            reply = f"HTTP/1.1 {status}\r\nContent-Length: 200000\r\n\r\n".encode() + bytes(200000)
        at = reply.index(b"\r\n\r\n") + 4
        connection.sendall(reply[:at])
        for byte in reply[at:]:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    return answer


def test_a_body_in_drops_is_not_waited_for(content: Path, manifest: str, tmp_path: Path) -> None:
    with (
        Rogue(drips(content.read_bytes())) as rogue,
        pytest.raises(regather.NotEnoughSourcesError),
    ):
        regather.download(manifest, tmp_path / "copy", servers=[rogue.url], settings=QUICK)
    assert not (tmp_path / "copy").exists()


def test_check_and_repair_do_not_wait_for_drops(
    content: Path, manifest: str, tmp_path: Path
) -> None:
    """Others have what the one with the drops is asked for first."""
    good = tmp_path / "out"
    with Rogue(drips(content.read_bytes())) as rogue:
        servers: list[str | Path] = [rogue.url, good]
        report = regather.check(manifest, servers=servers, read_data=1, settings=QUICK)
        assert report.status == "degraded"
        other = tmp_path / "other"
        other.mkdir()
        result = regather.repair(
            manifest, servers=[*servers, other], quick=True, settings=replace(QUICK, retries=0)
        )
    assert not result.lost


def test_publishing_does_not_wait_for_the_text_of_a_refusal(content: Path, tmp_path: Path) -> None:
    with Rogue(drips(b"", status="404 Not Found")) as rogue:
        report = regather.publish(
            content, [rogue.url, tmp_path / "store"], fragments=2, survive=0, settings=QUICK
        )
    assert report.manifests == (str(tmp_path / "store/file.bin.regather.json"),)
