"""Storing and removing files: whole, as declared, at once, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

from regather.files.atomic import PREFIX
from tests.server.process import HOST, TIMEOUT, Answer, Serve, read_until_broken
from tests.support.net import wait_until

TOKEN = "a-token-for-writing"
BODY = random.Random(5).randbytes(3_000_001)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    return path


@pytest.fixture
def server(store: Path, token_file: Path) -> Iterator[Serve]:
    with Serve(store, "--write-token", str(token_file)) as running:
        yield running


def put(
    server: Serve,
    path: str,
    body: bytes = BODY,
    *,
    method: str = "PUT",
    content: bytes | None = None,
    **headers: str,
) -> Answer:
    """Store ``body``, declared as ``content`` where that is given."""
    sent = {
        "Authorization": f"Bearer {TOKEN}",
        "Regather-Blake3": blake3(body if content is None else content).hexdigest(),
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    with server.connect() as connection:
        connection.request(method, path, body, {k: v for k, v in sent.items() if v})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def head(path: str, size: int, *more: str, body: bytes = BODY) -> bytes:
    """A request head for PUT."""
    lines = [
        f"PUT {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {TOKEN}",
        f"Regather-Blake3: {blake3(body).hexdigest()}",
        f"Content-Length: {size}",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def everything(folder: Path) -> list[str]:
    """All there is, hidden files included."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_is_stored_and_can_be_fetched(server: Serve, store: Path) -> None:
    answer = put(server, "/a%20b.dat")
    assert (answer.status, answer.body) == (201, b"stored\n")
    assert everything(store) == ["a b.dat"]
    assert (store / "a b.dat").stat().st_mode & 0o777 == 0o644 & ~_umask()
    fetched = server.get("/a%20b.dat")
    assert fetched.body == BODY
    assert fetched.headers["ETag"] == answer.headers["ETag"]
    assert answer.headers["Regather-Blake3"] == blake3(BODY).hexdigest()  # what was compared


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_sizes_at_every_edge(server: Serve, store: Path, size: int) -> None:
    assert put(server, "/x.dat", BODY[:size]).status == 201
    assert (store / "x.dat").read_bytes() == BODY[:size]


def test_a_file_is_replaced(server: Serve, store: Path) -> None:
    first = put(server, "/x.dat", b"first")
    second = put(server, "/x.dat", b"other")
    assert (first.status, second.status) == (201, 204)
    assert first.headers["ETag"] != second.headers["ETag"]
    assert (store / "x.dat").read_bytes() == b"other"
    assert everything(store) == ["x.dat"]


def test_several_on_one_connection(server: Serve, store: Path) -> None:
    with server.connect() as connection:
        for number in range(5):
            body = BODY[: number * 1000]
            connection.request(
                "PUT",
                f"/{number}.dat",
                body,
                {
                    "Authorization": f"Bearer {TOKEN}",
                    "Regather-Blake3": blake3(body).hexdigest(),
                },
            )
            response = connection.getresponse()
            response.read()
            assert response.status == 201
            assert connection.sock is not None
    assert len(everything(store)) == 5


def test_wrong_bytes_leave_nothing(server: Serve, store: Path) -> None:
    (store / "old.dat").write_bytes(b"old")
    for path in ("/x.dat", "/old.dat", "/new/folder/x.dat"):
        answer = put(server, path, content=b"something else")
        assert answer.status == 422
        assert b"hash" in answer.body
    assert everything(store) == ["old.dat"]
    assert (store / "old.dat").read_bytes() == b"old"


def test_a_hash_as_rfc_9530_writes_it(server: Serve, store: Path) -> None:
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    good = put(server, "/x.dat", Regather_Blake3="", Content_Digest=f"sha-256=:{digest}:")
    assert good.status == 201
    other = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    bad = put(server, "/y.dat", Regather_Blake3="", Content_Digest=f"sha-256=:{other}:")
    assert bad.status == 422
    assert everything(store) == ["x.dat"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Regather_Blake3": "12"},
        {"Regather_Blake3": "g" * 64},
        {"Content_Digest": "sha-256=:xyz:"},
        {"Content_Digest": f"sha-256=:{'=' * 44}:"},
    ],
)
def test_no_usable_hash(server: Serve, store: Path, headers: dict[str, str]) -> None:
    all_headers = {"Regather_Blake3": ""} | headers
    answer = put(server, "/x.dat", BODY, method="PUT", content=None, **all_headers)
    assert answer.status == 400
    assert b"Regather-Blake3" in answer.body
    assert everything(store) == []


def test_what_is_not_a_whole_plain_body(server: Serve, store: Path) -> None:
    assert put(server, "/x.dat", Content_Range="bytes 0-4/10").status == 400
    assert put(server, "/x.dat", Content_Encoding="gzip").status == 415
    request = head("/x.dat", 5, "Connection: close").replace(
        b"Content-Length: 5", b"Transfer-Encoding: chunked"
    )
    assert b" 411 " in server.raw(request + b"5\r\nhello\r\n0\r\n\r\n").split(b"\r\n")[0]
    assert everything(store) == []


def test_a_connection_lost_in_mid_body(server: Serve, store: Path) -> None:
    for reset in (False, True):
        with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
            connection.sendall(head("/new/x.dat", len(BODY)) + BODY[:2_000_000])
            wait_until(lambda: len(everything(store)) == 2, what="the temporary file")
            assert PREFIX in everything(store)[1]
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        wait_until(lambda: everything(store) == [], what="the removal")
    assert server.errors == ""


def test_a_file_on_its_way_is_not_served(server: Serve, store: Path) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(head("/x.dat", len(BODY)) + BODY[:2_000_000])
        wait_until(lambda: len(everything(store)) == 1, what="the temporary file")
        assert server.get("/x.dat").status == 404
        assert server.get(f"/{everything(store)[0]}").status == 404
        assert server.get("/").body == b""
        connection.sendall(BODY[2_000_000:])
        assert b" 201 " in connection.recv(1000)
    assert server.get("/").body == b"x.dat\n"


def test_the_body_is_asked_for_when_it_may_come(server: Serve, store: Path) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(head("/x.dat", len(BODY), "Expect: 100-continue"))
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert b" 201 " in connection.recv(1000)
    assert (store / "x.dat").read_bytes() == BODY
    refused = server.raw(
        head("/x.dat", len(BODY), "Expect: 100-continue", "If-None-Match: *", "Connection: close")
    )
    assert refused.startswith(b"HTTP/1.1 412 ")
    assert b" 417 " in server.raw(head("/y.dat", 5, "Expect: miracles", "Connection: close"))


def test_conditions(server: Serve, store: Path) -> None:
    assert put(server, "/x.dat", If_Match="*").status == 412
    assert put(server, "/x.dat", If_None_Match="*").status == 201
    assert put(server, "/x.dat", b"other", If_None_Match="*").status == 412
    tag = server.get("/x.dat", "HEAD").headers["ETag"]
    assert put(server, "/x.dat", b"other", If_Match='"another"').status == 412
    assert (store / "x.dat").read_bytes() == BODY
    assert put(server, "/x.dat", b"other", If_Match=tag).status == 204
    assert put(server, "/x.dat", b"third", If_Match=tag).status == 412
    assert (store / "x.dat").read_bytes() == b"other"
    assert everything(store) == ["x.dat"]


def test_a_condition_is_looked_at_again_in_the_end(server: Serve, store: Path) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(head("/x.dat", len(BODY), "If-None-Match: *") + BODY[:1000])
        wait_until(lambda: len(everything(store)) == 1, what="the temporary file")
        (store / "x.dat").write_bytes(b"was faster")
        connection.sendall(BODY[1000:])
        assert b" 412 " in connection.recv(1000)
    assert (store / "x.dat").read_bytes() == b"was faster"
    wait_until(lambda: everything(store) == ["x.dat"], what="the removal")


def test_folders_are_made(server: Serve, store: Path) -> None:
    assert put(server, "/a/b/x.dat").status == 201
    assert server.get("/a/b/x.dat").body == BODY
    assert put(server, "/" + "d/" * 17 + "x.dat").status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/../x.dat",
        "/a/../../x.dat",
        "/%2e%2e/x.dat",
        "/a%2fb.dat",
        "/a%5Cb.dat",
        "/a//b.dat",
        "/a/",
        "/.hidden",
        "/.git/config",
        f"/{PREFIX}0123456789abcdef",
        "/x.dat.regather-part",
        "/a%00b.dat",
        "/a%0Ab.dat",
        "/%ff.dat",
        "/-/health",
        "/-/x.dat",
        "/" + "a" * 256,
    ],
)
def test_unfit_names(server: Serve, store: Path, path: str) -> None:
    for method in ("PUT", "DELETE"):
        answer = put(server, path, b"x", method=method)
        assert answer.status in (400, 405), path
        assert answer.body.count(b"\n") == 1
    assert everything(store) == []
    assert everything(store.parent) == ["store", "token.txt"]


def test_links_are_not_followed(server: Serve, store: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.dat").write_bytes(b"outside")
    (store / "inner").mkdir()
    (store / "to_folder").symlink_to(outside)
    (store / "to_inner").symlink_to(store / "inner")
    (store / "to_file.dat").symlink_to(outside / "x.dat")
    (store / "dangling.dat").symlink_to(outside / "new.dat")
    os.mkfifo(store / "pipe.dat")
    before = everything(tmp_path)
    for path in ("to_folder/x.dat", "to_inner/x.dat", "to_file.dat", "dangling.dat", "inner"):
        for method in ("PUT", "DELETE"):
            assert put(server, f"/{path}", b"x", method=method).status == 409, path
    assert put(server, "/pipe.dat", b"x").status == 409
    assert put(server, "/pipe.dat/x.dat", b"x").status == 409
    assert everything(tmp_path) == before
    assert (outside / "x.dat").read_bytes() == b"outside"


def test_removal(server: Serve, store: Path) -> None:
    assert put(server, "/x.dat").status == 201
    assert put(server, "/x.dat", b"", method="DELETE", If_Match='"another"').status == 412
    answer = put(server, "/x.dat", b"", method="DELETE")
    assert (answer.status, answer.body) == (204, b"")
    assert everything(store) == []
    assert put(server, "/x.dat", b"", method="DELETE").status == 404
    assert put(server, "/no/x.dat", b"", method="DELETE").status == 404
    assert everything(store) == []


def test_limits(store: Path, token_file: Path) -> None:
    arguments = ("--write-token", str(token_file), "--max-upload", "1000", "--max-total", "2500")
    with Serve(store, *arguments) as server:
        answer = put(server, "/x.dat", BODY[:1001])
        assert (answer.status, b"1000 B" in answer.body) == (413, True)
        assert put(server, "/a.dat", BODY[:1000]).status == 201
        assert put(server, "/b.dat", BODY[:1000]).status == 201
        answer = put(server, "/c.dat", BODY[:501])
        assert (answer.status, b"2500" in answer.body) == (507, True)
        assert put(server, "/a.dat", BODY[:999]).status == 204  # what it replaces makes room
        assert put(server, "/c.dat", BODY[:501]).status == 201
        assert put(server, "/c.dat", b"", method="DELETE").status == 204
        assert put(server, "/d.dat", BODY[:500]).status == 201
        assert everything(store) == ["a.dat", "b.dat", "d.dat"]


def test_what_is_coming_in_counts_too(store: Path, token_file: Path) -> None:
    with (
        Serve(store, "--write-token", str(token_file), "--max-total", "1000") as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(head("/a.dat", 600, body=BODY[:600]))
        wait_until(lambda: len(everything(store)) == 1, what="the temporary file")
        assert put(server, "/b.dat", BODY[:600]).status == 507
        connection.sendall(BODY[:600])
        assert b" 201 " in connection.recv(1000)
        assert put(server, "/b.dat", BODY[:400]).status == 201


def test_a_disk_without_room(server: Serve, store: Path) -> None:
    free = os.statvfs(store)
    size = free.f_bavail * free.f_frsize + (1 << 40)
    answer = server.raw(head("/x.dat", size, "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 507 ")
    assert everything(store) == []


def test_a_refusal_arrives_although_the_body_is_not_taken(store: Path, token_file: Path) -> None:
    with Serve(store, "--write-token", str(token_file), "--max-upload", "1000") as server:
        answer = put(server, "/x.dat", BODY)
        assert answer.status == 413


def test_leftovers_of_a_killed_server(store: Path, token_file: Path) -> None:
    arguments = ("--write-token", str(token_file))
    (store / "sub").mkdir()
    with (
        Serve(store, *arguments) as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(head("/sub/x.dat", len(BODY)) + BODY[:1000])
        wait_until(lambda: len(everything(store)) == 2, what="the temporary file")
        # Another server of the same folder leaves alone what the first is still writing.
        with Serve(store, *arguments):
            assert len(everything(store)) == 2
        server.terminate(signal.SIGKILL)
        server.wait()
    assert len(everything(store)) == 2
    (store / ".hidden").write_bytes(b"not ours")
    with Serve(store):
        assert len(everything(store)) == 3  # without writing nothing is touched
    with Serve(store, *arguments):
        assert everything(store) == [".hidden", "sub"]


def test_a_signal_leaves_nothing(server: Serve, store: Path) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection:
        connection.sendall(head("/x.dat", len(BODY)) + BODY[:1000])
        wait_until(lambda: len(everything(store)) == 1, what="the temporary file")
        server.terminate()
        assert server.wait() == 0
        read_until_broken(connection)
    assert everything(store) == []
    assert server.errors == ""


def test_writing_is_off_without_a_token(store: Path) -> None:
    (store / "x.dat").write_bytes(b"old")
    with Serve(store) as server:
        for method in ("PUT", "DELETE"):
            answer = put(server, "/x.dat", method=method)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
            assert b"--write-token FILE" in answer.body
    assert (store / "x.dat").read_bytes() == b"old"


def test_other_methods(server: Serve) -> None:
    answer = put(server, "/x.dat", b"", method="POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, PUT, DELETE")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"), 412),
        (("If-Match", '"*"'), 412),
        (("If-Match", ""), 412),
        (("If-None-Match", ", $"), 412),
        (("If-None-Match", "tag"), 400),
        (("If-Match", ", $"), 204),
    ],
)
def test_conditions_protect_what_is_there(
    line: tuple[str, str], status: int, server: Serve, store: Path
) -> None:
    (store / "x.dat").write_bytes(b"old")
    tag = server.get("/x.dat", "HEAD").headers["ETag"]
    lines = [f"{line[0]}: {line[1].replace('$', tag)}", "Connection: close"]
    for method in ("PUT", "DELETE") if status != 204 else ("PUT",):
        request = head("/x.dat", 3, *lines, body=b"new").replace(b"PUT", method.encode(), 1)
        assert server.raw(request + b"new").startswith(f"HTTP/1.1 {status} ".encode())
    assert (store / "x.dat").read_bytes() == (b"new" if status == 204 else b"old")


def test_right_files_beside_refused_ones_in_a_new_folder(server: Serve, store: Path) -> None:
    """A refused one removes the folder only where no other one is about to use it."""
    with ThreadPoolExecutor(8) as pool:
        for turn in range(10):
            answers = pool.map(
                lambda n, turn=turn: (
                    put(
                        server, f"/{turn}/new/{n}.dat", BODY[:1000], content=BODY[: 1000 - n % 2]
                    ).status
                ),
                range(8),
            )
            assert list(answers) == [201, 422] * 4
    assert len([p for p in store.rglob("*.dat") if p.is_file()]) == 40


def test_one_of_many_new_files_of_one_name_wins(server: Serve, store: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(
            lambda n: put(server, "/a/x.dat", BODY[: 1000 + n], If_None_Match="*").status, range(8)
        )
        assert sorted(answers) == [201, *[412] * 7]
    assert everything(store) == ["a", "a/x.dat"]


def test_what_is_not_there_is_not_found_whatever_the_condition(server: Serve) -> None:
    """RFC 9110 13.2.1: conditions are ignored where the answer would not be one of success."""
    for value in ("*", '"a"'):
        assert put(server, "/x.dat", b"", method="DELETE", If_Match=value).status == 404


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Encoding: identity", "Content-Encoding: gzip"], 415),
        (["Content-Encoding: identity, br"], 415),
        (["Content-Encoding: , identity"], 201),
        (["Regather-Blake3: " + "0" * 64], 400),  # besides the right one
        (["Expect: 100-continue", "Expect: more"], 417),
        (["Content-Digest: md5=:AAAA:", "Content-Digest: sha-256=:{sha256}:"], 201),
    ],
)
def test_headers_in_several_lines(lines: list[str], status: int, server: Serve) -> None:
    digest = base64.b64encode(hashlib.sha256(b"new").digest()).decode()
    request = head("/x.dat", 3, *(line.format(sha256=digest) for line in lines), body=b"new")
    if "sha256" in lines[-1]:
        request = b"\r\n".join(x for x in request.split(b"\r\n") if b"Regather" not in x)
    answer = server.raw(request[:-2] + b"Connection: close\r\n\r\nnew")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
