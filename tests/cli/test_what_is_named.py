"""The user names the wrong thing: one line that says what it is, and the right form."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

import regather
from tests.cli.test_bad_input import fails
from tests.support.files import alone, leftovers, random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.nginx import Nginx, needs_nginx
from tests.support.rogue import Rogue, sends
from tests.support.tls import TlsFiles, issue


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with file.bin split into it."""
    random_file(tmp_path / "file.bin", 5000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=3)
    return tmp_path


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return issue(tmp_path_factory.mktemp("pki"))


def test_a_local_file_that_is_no_manifest(made: Path) -> None:
    (made / "page.html").write_text("<!doctype html><p>Hello")
    (made / "list.json").write_text("[1, 2]")
    (made / "empty").write_bytes(b"")
    for name in ("file.bin", "page.html", "list.json", "empty", "out/file_fragment_1.dat"):
        told = fails(2, "get", made / name, says="not a manifest", cwd=made)
        assert "NAME.regather.json" in told
        fails(2, "info", made / name, says="not a manifest")


def test_a_damaged_manifest_is_no_usage_error(made: Path) -> None:
    whole = (made / "out" / "file.bin.regather.json").read_bytes()
    (made / "renamed.json").write_bytes(whole[:-100])
    (made / "odd.regather.json").write_bytes(b"<html>")
    fails(3, "get", made / "renamed.json", says="truncated", cwd=made)
    fails(3, "get", made / "odd.regather.json", says="not JSON", cwd=made)


def test_a_folder_with_a_manifest_in_it(made: Path) -> None:
    told = fails(2, "get", made / "out", says="is a directory", cwd=made)
    assert str(made / "out" / "file.bin.regather.json") in told


def test_a_url_that_is_no_manifest(made: Path, hosting: Hosting) -> None:
    url = hosting.serve(made / "out").url
    fails(3, "info", url + "file_fragment_1.dat", says="not a manifest")
    fails(3, "get", url + "file_fragment_1.dat", "--server", url, says="not a manifest", cwd=made)
    assert run("get", url + "file_fragment_1.dat", "-o", made / "plain").returncode == 0
    page = b"<html>Sign in</html>"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
    with Rogue(sends(answer)) as rogue:
        fails(3, "get", rogue.url + "f.regather.json", says="a web page, not a manifest", cwd=made)
        fails(2, "get", rogue.url, says="that is a server, not a manifest", cwd=made)


def test_a_server_where_a_manifest_is_meant(made: Path, hosting: Hosting) -> None:
    server = hosting.serve(made / "out")
    for name in (server.url, server.url.rstrip("/"), f"127.0.0.1:{server.port}"):
        told = fails(2, "get", name, says="that is a server, not a manifest", cwd=made)
        assert "use --server with a manifest" in told


def test_addresses_are_taken_by_info_as_by_get(made: Path, hosting: Hosting) -> None:
    server = hosting.serve(made / "out")
    told = run("info", f"127.0.0.1:{server.port}/file.bin.regather.json")
    assert told.returncode == 0, told.stderr
    assert "file_fragment_3.dat" in told.stdout


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ("9001", "write HOST:PORT, for example 127.0.0.1:9001"),
        ("localhost", "write HOST:PORT, for example localhost:8000"),
        ("rsync://x", "rsync:// is not supported; use az://"),
        ("s3://buck et/x", "not a bucket name"),
        ("/no/such/folder", "no such folder"),
        ("file.bin", "is a file, not a folder"),
        ("http://h/?q", "remove the query"),
        ("http://h:99999/", "write http://HOST:PORT/"),
    ],
)
def test_servers_that_are_none(made: Path, server: str, says: str) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    fails(2, "get", manifest, "--server", server, "-o", "got", says=says, cwd=made)
    assert leftovers(made) == []


def test_a_folder_that_is_gone_is_left_out_beside_others(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    gone = ("--server", f"{made}/gone/", "--server", made / "out")
    for words in (("get", manifest, "-o", made / "got"), ("check", manifest)):
        told = run(*words, *gone)
        assert (told.returncode, told.stderr.count("\n")) == (0, 1), told
        assert f"warning: {made}/gone/: no such folder; it is left out" in told.stderr
    fails(2, "check", manifest, "--server", f"{made}/gone/", says="no such folder", cwd=made)


def test_sources_that_are_none(made: Path) -> None:
    fails(2, "get", "rsync://h/f.regather.json", says="is not supported; use", cwd=made)
    fails(2, "get", "http://", says="no host", cwd=made)


def test_no_notice_before_an_error(made: Path) -> None:
    (made / "got").write_bytes(b"mine")
    for arguments in (
        ("--fragment", "gopher://h/f"),
        ("--fragment", "http://h:99999/f"),
        ("--fragment", "http://h/f", "--server", "http://h/"),
        ("--fragment", "http://h/f", "--digest", "0" * 64),
        ("--fragment", "out/file_fragment_1.dat", "-o", "got"),
        ("--fragment", "out/none.dat"),
    ):
        told = run("get", *arguments, cwd=made)
        assert told.returncode in (2, 4, 6)
        assert "NOT verified" not in told.stderr
    told = run("get", "--fragment", "out/file_fragment_1.dat", "-o", "new", cwd=made)
    assert told.returncode == 0
    assert told.stderr.count("NOT verified") == 1


# -- TLS where there is none, and none where there is -----------------------------------------


def test_https_to_a_port_for_http(made: Path, hosting: Hosting) -> None:
    url = hosting.serve(made / "out").url.replace("http:", "https:")
    fails(
        4, "get", url + "file.bin.regather.json", says="does not support TLS: use http://", cwd=made
    )
    fails(4, "get", url, says="does not support TLS: use http://", cwd=made)
    manifest = alone(made / "out" / "file.bin.regather.json")
    says, got = "does not support TLS", ("-o", made / "got")
    fails(4, "get", manifest, "--server", url, *got, says=says, lines=4)
    fails(4, "get", "--fragment", url + "f", *got, says=says)


@needs_nginx
def test_http_to_a_port_for_https(made: Path, pki: TlsFiles) -> None:
    with Nginx(made / "out", tls=pki) as server:
        url = server.url.replace("https:", "http:")
        fails(4, "get", url + "file.bin.regather.json", says="a port for https", cwd=made)


def test_http_to_a_port_that_answers_with_a_tls_alert(made: Path) -> None:
    with Rogue(sends(b"\x15\x03\x01\x00\x02\x02\x46")) as rogue:
        url = rogue.url + "file.bin.regather.json"
        fails(4, "get", url, says="requires TLS: use https://", cwd=made)


def test_from_https_to_http_in_one_line(made: Path, hosting: Hosting, pki: TlsFiles) -> None:
    plain = hosting.serve(made / "out").url
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    where = f"Location: {plain}file.bin.regather.json\r\n".encode()

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 302 Found\r\n%bContent-Length: 0\r\n\r\n" % where)

    with Rogue(answer, tls=context) as rogue:
        assert rogue.url.startswith("https://")
        fails(
            4, "get", rogue.url + "file.bin.regather.json", "--cacert", pki.authority,
            says="redirects from https to http: refused", cwd=made,
        )  # fmt: skip
    assert not (made / "file.bin.regather-part").exists()


def test_a_folder_that_is_named_with_a_slash_is_made(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    told = run("get", manifest, "--server", made / "out", "-o", "new/", cwd=made)
    assert told.returncode == 0, told.stderr
    assert (made / "new" / "file.bin").read_bytes() == (made / "file.bin").read_bytes()
    fails(2, "get", manifest, "-o", "no/such/", says="use --mkdir", cwd=made)


def test_a_rate_of_nothing(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    told = run("get", manifest, "--limit-rate", "0", cwd=made)
    assert told.returncode == 2
    assert "argument --limit-rate: must be more than 0: 0" in told.stderr


def test_the_digest_of_what_is_no_manifest(made: Path, hosting: Hosting) -> None:
    with (made / "large.bin").open("wb") as file:
        file.truncate((64 << 20) + 1)
    url = hosting.serve(made).url + "large.bin"
    told = fails(3, "get", url, "--digest", "0" * 64, says="cannot get the manifest", cwd=made)
    assert "--sha256" in told
