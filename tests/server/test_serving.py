from __future__ import annotations

import email
import email.policy
import json
import os
import socket
import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.server.conftest import BIG, LONG_NAME
from tests.server.process import (
    HOST,
    TIMEOUT,
    Answer,
    Serve,
    ask,
    body_of,
    read_all,
    read_until_broken,
)
from tests.support.net import wait_until


def test_a_whole_file(server: Serve, content: bytes) -> None:
    answer = server.get("/file.dat")
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"].startswith('"')
    assert answer.headers["Last-Modified"].endswith("GMT")
    assert answer.headers["Server"].startswith("regather/")
    assert "Content-Encoding" not in answer.headers
    assert "Transfer-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-2999", 1000, 3000),
        ("bytes=300000-", 300_000, 300_007),
        ("bytes=-7", 300_000, 300_007),
        ("bytes=-999999", 0, 300_007),
        ("bytes=5-999999", 5, 300_007),
    ],
)
def test_a_range(server: Serve, content: bytes, asked: str, start: int, stop: int) -> None:
    answer = server.get("/file.dat", Range=asked)
    assert (answer.status, answer.body) == (206, content[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/300007"
    assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("asked", ["bytes=300007-", "bytes=-0", "bytes=-0,999999-"])
def test_a_range_that_cannot_be_had(server: Serve, asked: str) -> None:
    answer = server.get("/file.dat", Range=asked)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */300007"


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=x", "bytes=0-1,x", "lines=1-2"])
def test_a_range_that_is_not_understood_gives_the_whole(
    server: Serve, content: bytes, asked: str
) -> None:
    answer = server.get("/file.dat", Range=asked)
    assert (answer.status, answer.body) == (200, content)


def parts_of(answer: Answer) -> list[tuple[object, ...]]:
    """What the parts of a multipart answer are: type, range and bytes."""
    kind = answer.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    assert not message.defects
    return [
        (part.get_content_type(), part["Content-Range"], part.get_payload(decode=True))
        for part in message.iter_parts()
    ]


def test_several_ranges(server: Serve, content: bytes) -> None:
    with server.connect() as connection:
        answer = ask(connection, "/file.dat", Range="bytes=100000-299999,0-9,5-19,-1")
        assert answer.status == 206
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert "Content-Range" not in answer.headers
        assert answer.headers["ETag"]
        kind = "application/octet-stream"
        assert parts_of(answer) == [
            (kind, "bytes 100000-299999/300007", content[100_000:300_000]),
            (kind, "bytes 0-19/300007", content[:20]),
            (kind, "bytes 300006-300006/300007", content[-1:]),
        ]
        # What is left is one range: no multipart (RFC 9110 15.3.7.2 permits both).
        answer = ask(connection, "/file.dat", Range="bytes=0-9,10-19,999999-")
        assert (answer.status, answer.body) == (206, content[:20])
        assert answer.headers["Content-Range"] == "bytes 0-19/300007"
        assert ask(connection, "/page.html", Range="bytes=0-0,2-2").status == 206


def test_a_download_gets_a_name(server: Serve) -> None:
    path = quote("/ünïcødé 😀.dat")
    for query in ("?download", "?x=1&download=1"):
        disposition = server.get(path + query, "HEAD").headers["Content-Disposition"]
        assert disposition.startswith('attachment; filename="_n_c_d_ _.dat"; filename*=UTF-8')
    for query in ("", "?downloads", "?x=download"):
        assert "Content-Disposition" not in server.get(path + query, "HEAD").headers


def test_errors_are_documents_or_text(server: Serve) -> None:
    answer = server.get("/nothing")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "title": "Not Found",
        "status": 404,
        "detail": "not found",
    }
    answer = server.get("/file.dat", "POST", Accept="text/html,*/*;q=0.8")
    assert (answer.status, answer.body) == (405, b"only GET and HEAD\n")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Allow"] == "GET, HEAD"


def test_if_range(server: Serve, content: bytes) -> None:
    head = server.get("/file.dat", "HEAD").headers
    for current in (head["ETag"], head["Last-Modified"]):
        assert server.get("/file.dat", Range="bytes=0-4", If_Range=current).status == 206
    for other in ('"another"', "W/" + head["ETag"], "Thu, 01 Jan 1970 00:00:00 GMT"):
        answer = server.get("/file.dat", Range="bytes=0-4", If_Range=other)
        assert (answer.status, answer.body) == (200, content)


def test_conditions(server: Serve) -> None:
    head = server.get("/file.dat", "HEAD").headers
    unchanged = server.get("/file.dat", If_None_Match=f'"x", {head["ETag"]}')
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert unchanged.headers["ETag"] == head["ETag"]
    assert server.get("/file.dat", If_None_Match='"x"').status == 200
    assert server.get("/file.dat", If_Modified_Since=head["Last-Modified"]).status == 304
    assert server.get("/file.dat", If_Match='"x"').status == 412
    assert server.get("/file.dat", If_Match=head["ETag"]).status == 200


def test_head_tells_what_get_would_bring(server: Serve) -> None:
    with server.connect() as connection:
        head = ask(connection, "/file.dat", "HEAD", Range="bytes=0-4")
        get = ask(connection, "/file.dat")
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Length", "ETag", "Last-Modified", "Content-Type", "Accept-Ranges"):
        assert head.headers[name] == get.headers[name]


def test_a_changed_file_changes_its_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"first")
    with Serve(tmp_path) as server:
        old = server.get("/a.dat")
        path.write_bytes(b"other")
        os.utime(path, ns=(0, 1))
        new = server.get("/a.dat", Range="bytes=0-0", If_Range=old.headers["ETag"])
        assert (new.status, new.body) == (200, b"other")
        assert new.headers["ETag"] != old.headers["ETag"]


def test_no_file_is_ever_replaced_by_a_compressed_one(server: Serve, content: bytes) -> None:
    answer = server.get("/file.dat", Accept_Encoding="gzip, br, deflate")
    assert answer.body == content
    assert "Content-Encoding" not in answer.headers
    direct = server.get("/file.dat.gz", Accept_Encoding="gzip")
    assert direct.body == b"not what was asked for"
    assert direct.headers["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in direct.headers


def test_kinds_of_content(server: Serve) -> None:
    assert server.get("/file.regather.json").headers["Content-Type"] == "application/json"
    page = server.get("/page.html").headers
    assert page["Content-Type"] == "text/html"
    assert page["Content-Security-Policy"] == "sandbox"  # no script of it runs
    assert page["X-Content-Type-Options"] == "nosniff"


def test_an_empty_file(server: Serve) -> None:
    answer = server.get("/empty.dat")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == "0"
    for wanted in ("bytes=0-", "bytes=0-99", "bytes=-1", "bytes=0--1", "bytes=0-0,5-6"):
        answer = server.get("/empty.dat", Range=wanted)
        assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("sub/deeper/nested.dat", b"nested"),
        ("inside.dat", b"nested"),
        ("with space & 100%.dat", b"space"),
        ("ünïcødé 😀.dat", b"unicode"),
        (LONG_NAME, b"long"),
        (os.fsdecode(b"latin\xff.dat"), b"latin"),
    ],
)
def test_names(server: Serve, name: str, body: bytes) -> None:
    path = "/" + quote(os.fsencode(name))
    assert server.get(path).body == body
    assert server.get(path + "?any=query").body == body
    assert server.get("/" + "".join(f"%{b:02x}" if b != 47 else "/" for b in os.fsencode(name)))


def test_the_absolute_form_of_a_target(server: Serve) -> None:
    assert body_of(server.raw_get(b"http://any.where/sub/deeper/nested.dat?x")) == b"nested"


def test_a_plain_dot_says_nothing(server: Serve) -> None:
    assert server.get("/./sub/././deeper/nested.dat").body == b"nested"


NOT_SERVED = [
    *(b"/nothing.dat", b"/sub", b"/sub/", b"/sub/nothing", b"/file.dat/", b"/file.dat/x", b"//"),
    *(b"/../secret.dat", b"/sub/../../secret.dat", b"/%2e%2e/secret.dat", b"/%2e%2e%2fsecret.dat"),
    *(b"/..%2fsecret.dat", b"/sub/%2E%2E/%2E%2E/secret.dat", b"/%252e%252e/secret.dat"),
    *(b"/..\\secret.dat", b"/..%5csecret.dat", b"/%c0%ae%c0%ae/secret.dat", b"/.%00./secret.dat"),
    *(
        b"//etc/passwd",
        b"/%2fetc%2fpasswd",
        b"//%2e%2e/secret.dat",
        b"/./../secret.dat",
        b"/./.hidden",
        b"/%2e/file.dat",
    ),
    *(b"/hosted/file.dat", b"/../hosted/file.dat", b"/../hosted-twin/secret.dat"),
    *(b"/out.dat", b"/out/secret.dat", b"/twin.dat", b"/loop", b"/loop/x"),
    *(b"/file.dat%00", b"/file.dat%00.json", b"/sub%2fdeeper%2fnested.dat", b"/pipe.dat"),
    *(b"/.hidden", b"/%2ehidden", b"/.git/config", b"/big.dat.regather-part"),
    *(b"/big.dat.regather-part.journal", b"/big.dat%2eregather-part", b"/-/", b"/-/other"),
    *(
        b"/" + b"x" * 300,
        b"/" + b"a/" * 3000,
        b"/file.dat%0a",
        b"/%",
        b"/%zz",
        b"/http://x/file.dat",
    ),
]


@pytest.mark.parametrize("target", NOT_SERVED, ids=lambda target: repr(target[:40]))
def test_nothing_else_is_served(server: Serve, target: bytes) -> None:
    head, _, body = server.raw_get(target).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["detail"] == "not found"


@pytest.mark.parametrize(
    "target",
    [
        *(b"file.dat", b"*", b"../secret.dat", b"\\secret.dat", b"/a b", b"file:///etc/passwd"),
        "/ünïcødé%20😀.dat".encode(),  # not percent-encoded
    ],
)
def test_targets_that_are_none(server: Serve, target: bytes) -> None:
    answer = server.raw_get(target)
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"secret" not in body_of(answer).replace(b"secret.dat", b"")


def test_the_root_lists_what_is_served_directly_in_it(server: Serve) -> None:
    answer = server.get("/")
    assert answer.headers["Content-Type"].startswith("text/plain")
    names = answer.body.decode().splitlines()
    assert names == sorted(names)
    assert {"file.dat", "with space & 100%.dat", "ünïcødé 😀.dat", LONG_NAME} <= set(names)
    assert not [name for name in names if name.startswith(".") or "regather-part" in name]
    assert not {"sub", "loop", "pipe.dat", "out.dat"} & set(names)


def test_a_single_file(folder: Path, content: bytes) -> None:
    with Serve(folder / "file.dat") as server:
        for path in ("/", "/file.dat"):
            assert server.get(path).body == content
        for path in ("/file.dat.gz", "/sub/deeper/nested.dat", "/page.html", "/hosted/file.dat"):
            assert server.get(path).status == 404
        assert server.get("/", Range="bytes=-2").body == content[-2:]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/file.dat", "/-/health", "/nothing"])
def test_other_methods(server: Serve, method: str, path: str) -> None:
    answer = server.get(path, method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_body_that_nobody_wants_is_not_asked_for(server: Serve) -> None:
    head = b"PUT /new.dat HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(head)
        assert connection.recv(4096).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"GET /file.dat HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /file.dat HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET /file.dat HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n",
    ],
    ids=["malformed", "long header", "long target", "many headers", "NUL"],
)
def test_requests_out_of_bounds(server: Serve, request_bytes: bytes) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        try:
            connection.sendall(request_bytes)
        except ConnectionError:
            pass
        received, _ = read_until_broken(connection)
    assert b" 400 " in received[:20] or not received
    assert server.get("/sub/deeper/nested.dat").body == b"nested"


def test_a_connection_serves_many_requests(server: Serve, content: bytes) -> None:
    with server.connect() as connection:
        ask(connection, "/file.dat")
        assert connection.sock is not None
        own = connection.sock.getsockname()
        for start in range(0, 300_000, 30_000):
            answer = ask(connection, "/file.dat", Range=f"bytes={start}-{start + 99}")
            assert answer.body == content[start : start + 100]
        assert ask(connection, "/nothing").status == 404
        assert ask(connection, "/file.dat", Range="bytes=999999-").status == 416
        assert ask(connection, "/file.dat", "HEAD").status == 200
        assert connection.sock.getsockname() == own


def test_requests_in_a_row_are_answered_in_order(server: Serve) -> None:
    requests = b"".join(
        b"GET /%b HTTP/1.1\r\nHost: x\r\n%b\r\n" % (name, end)
        for name, end in (
            (b"file.dat", b""),
            (b"sub/deeper/nested.dat", b""),
            (b"page.html", b"Connection: close\r\n"),
        )
    )
    received = server.raw(requests)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    assert received.index(b"nested") < received.index(b"<p>")


def test_an_old_client(server: Serve) -> None:
    received = server.raw(b"GET /sub/deeper/nested.dat HTTP/1.0\r\n\r\n")
    assert received.startswith(b"HTTP/1.0 200 ")
    assert body_of(received) == b"nested"


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_a_version_that_is_not_spoken(server: Serve, version: bytes) -> None:
    received = server.raw(b"GET /sub/deeper/nested.dat HTTP/%b\r\nHost: x\r\n\r\n" % version)
    assert received.startswith(b"HTTP/1.1 505 ")
    assert b"nested" not in received


def test_health(folder: Path) -> None:
    with Serve(folder) as server:
        first = server.health()
        assert first["status"] == "ok"
        assert first["version"]
        assert (first["requests"], first["bytes_sent"]) == (0, 0)
        assert first["connections"] >= 1
        assert first["uptime_seconds"] >= 0
        server.get("/file.dat", Range="bytes=0-99")
        server.get("/nothing")
        second = server.health()
        assert (second["requests"], second["bytes_sent"]) == (2, 100)
        assert second["uptime_seconds"] >= first["uptime_seconds"]
        assert server.get("/-/health").headers["Content-Type"].startswith("application/json")


def test_a_large_file_arrives_whole(server: Serve) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(b"GET /big.dat HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.2)  # let the socket's buffers fill up
        assert body_of(read_all(connection)) == bytes(BIG)


def test_clients_that_leave_cost_nothing(folder: Path) -> None:
    with Serve(folder) as server:
        files = Path(f"/proc/{server.process.pid}/fd")
        before = len(list(files.iterdir())) if files.exists() else 0
        for _ in range(20):
            with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
                connection.sendall(b"GET /big.dat HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(1000)
        wait_until(lambda: server.health()["connections"] == 1, what="the end of the connections")
        if files.exists():
            wait_until(lambda: len(list(files.iterdir())) <= before + 1, what="closed files")
        assert server.errors == ""


def test_a_file_that_shrinks_breaks_its_response_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    with path.open("wb") as stream:
        stream.truncate(BIG)
    (tmp_path / "b.dat").write_bytes(b"fine")
    with Serve(tmp_path) as server:
        with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
            connection.sendall(b"GET /a.dat HTTP/1.1\r\nHost: x\r\n\r\n")
            connection.recv(1000, socket.MSG_PEEK)
            os.truncate(path, 1000)
            received, _ = read_until_broken(connection)
            assert len(received) < BIG
        assert server.get("/b.dat").body == b"fine"
        wait_until(lambda: "'a.dat'" in server.errors, what="the log")


def test_the_address_is_json_that_a_caller_can_use(server: Serve, folder: Path) -> None:
    assert server.listening == {
        "event": "listening",
        "url": f"http://127.0.0.1:{server.port}/",
        "port": server.port,
        "path": str(folder),
    }
    assert json.dumps(server.listening)
