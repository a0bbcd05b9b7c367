"""FTP and SFTP beyond what every transport does: logins, host keys, TLS, and servers that fail."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from shlex import quote

import pytest
from msgspec.structs import replace

from regather.transport import (
    Askable,
    Credentials,
    Failure,
    HostOptions,
    RequestFailed,
    TransportOptions,
    open_connection,
)
from regather.transport.curl.login import Access
from regather.transport.host_options import Hosts
from tests.support.files import random_file
from tests.support.ftp import PASSWORD, USER, FtpServer
from tests.support.sftp import SftpServer, make_key
from tests.support.tls import issue

SIZE = 3_000_017
QUICK = TransportOptions(connect_timeout=5, timeout=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder"
    made.mkdir()
    random_file(made / "f.dat", SIZE)
    return made


@pytest.fixture(params=["ftp", "sftp"])
def served(
    request: pytest.FixtureRequest, folder: Path
) -> Iterator[tuple[FtpServer | SftpServer, Askable]]:
    if request.param == "ftp":
        with FtpServer(folder) as ftp:
            connection = open_connection(ftp.url, QUICK)
            yield ftp, connection
            connection.close()
    else:
        with SftpServer(folder) as sftp:
            connection = open_connection(sftp.url, sftp.reached_by(QUICK))
            yield sftp, connection
            connection.close()


def read(connection: Askable, count: int) -> bytes:
    """So many bytes of the body that was asked for."""
    data = bytearray()
    buffer = memoryview(bytearray(64 << 10))
    while len(data) < count:
        data += buffer[: connection.receive(buffer[: count - len(data)])]
    return bytes(data)


def impatient(server: FtpServer | SftpServer) -> Askable:
    """A connection that soon thinks a server dead."""
    options = replace(QUICK, timeout=4)
    if isinstance(server, SftpServer):
        options = server.reached_by(options)
    return open_connection(server.url, options)


def refused(url: str, options: TransportOptions) -> RequestFailed:
    """How a look at a URL fails, in one line."""
    connection = open_connection(url, options)
    with pytest.raises(RequestFailed) as caught:
        connection.look(url, 10)
    connection.close()
    assert "\n" not in caught.value.what
    return caught.value


# -- what is told of an object ----------------------------------------------------------------


def test_a_look(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    server, connection = served
    os.utime(folder / "f.dat", (1_000_000_000, 1_000_000_000))
    look = connection.look(server.url + "f.dat", 100)
    assert (look.size, look.ranged) == (SIZE, True)
    assert look.date == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert look.start == (folder / "f.dat").read_bytes()[:100]
    (folder / "empty").touch()
    assert connection.look(server.url + "empty", 100).size == 0
    assert connection.fetch(server.url + "empty", 100) == (b"", server.url + "empty")


def test_a_small_object_whole(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    server, connection = served
    url = server.url + "f.dat"
    assert connection.fetch(url, SIZE) == ((folder / "f.dat").read_bytes(), url)
    with pytest.raises(RequestFailed, match="larger than"):
        connection.fetch(url, SIZE - 1)


def test_another_version(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    server, connection = served
    url = server.url + "f.dat"
    validator = connection.look(url, 1).validator
    assert connection.request(url, 5, 10, SIZE, validator)
    connection.finish()
    os.utime(folder / "f.dat", (1_000_000_000, 1_000_000_000))
    with pytest.raises(RequestFailed) as caught:
        connection.request(url, 5, 10, SIZE, validator)
    assert caught.value.failure is Failure.CHANGED


def test_a_folder_is_no_file(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    server, connection = served
    (folder / "inner").mkdir()
    for url in (server.url, server.url + "inner"):
        with pytest.raises(RequestFailed):
            connection.look(url, 10)


def test_nobody_may_read_it(folder: Path) -> None:
    with FtpServer(folder, extra="<Limit READ>\nDenyAll\n</Limit>\n") as server:
        assert refused(server.url + "f.dat", QUICK).failure is Failure.FORBIDDEN


def test_no_line_ends_are_converted(folder: Path) -> None:
    """libcurl takes ";type=a" for an order to do that: here it is part of a name."""
    (folder / "f;type=a").write_bytes(b"1\n2\n")
    with FtpServer(folder) as server:
        connection = open_connection(server.url, QUICK)
        assert connection.fetch(server.url + "f;type=a", 100)[0] == b"1\n2\n"
        with pytest.raises(RequestFailed):
            connection.fetch(server.url + "f.dat;type=a", SIZE)
        connection.close()


def test_a_server_that_cannot_begin_in_the_middle(folder: Path) -> None:
    with FtpServer(folder, extra="AllowRetrieveRestart off\n") as server:
        connection = open_connection(server.url, QUICK)
        url = server.url + "f.dat"
        assert connection.request(url, 1000, 2000, SIZE) is False
        assert read(connection, SIZE) == (folder / "f.dat").read_bytes()
        connection.finish()
        connection.close()


# -- logins -----------------------------------------------------------------------------------


def test_the_password_of_netrc(folder: Path, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    with FtpServer(folder) as server:
        for text, right in ((server.netrc, True), (server.netrc.replace("secret", "x"), False)):
            netrc.write_text(text)
            netrc.chmod(0o600)
            options = replace(
                QUICK, credentials=Credentials.gather(environment={"NETRC": str(netrc)})
            )
            if right:
                connection = open_connection(server.url, options)
                assert connection.probe(server.url + "f.dat")[0] == SIZE
                connection.close()
            else:
                error = refused(server.url + "f.dat", options)
                assert error.failure is Failure.FORBIDDEN
                assert "~/.netrc" in error.what
                assert PASSWORD[:-1] not in error.what


@pytest.mark.parametrize(
    ("scheme", "user", "own", "login"),
    [
        ("ftp", "", HostOptions(), ("", "")),  # a manifest may have named it
        ("ftp", "ann", HostOptions(), ("ann", "word")),
        ("ftp", "", HostOptions(user="ann"), ("ann", "word")),
        ("ftp", "", HostOptions(ftp_tls=True), ("ann", "word")),
        ("ftps", "", HostOptions(), ("ann", "word")),
        ("sftp", "", HostOptions(), ("ann", "word")),
        ("sftp", "bob", HostOptions(), ("bob", "")),
        ("sftp", "b%40b", HostOptions(), ("b@b", "")),
    ],
)
def test_who_gets_the_password_of_netrc(
    scheme: str, user: str, own: HostOptions, login: tuple[str, str], tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine files.example login ann password word\n")
    netrc.chmod(0o600)
    options = replace(
        QUICK,
        hosts=Hosts({"files.example": own}),
        credentials=Credentials.gather(environment={"NETRC": str(netrc)}),
    )
    assert Access((scheme, "files.example", 21), user, options).login == login


def test_an_address_with_a_password(folder: Path) -> None:
    error = refused("ftp://ann:secret@127.0.0.1:1/f.dat", QUICK)
    assert error.failure is Failure.BAD_RESPONSE
    assert "secret" not in error.what


def test_a_full_server_is_busy(folder: Path) -> None:
    with FtpServer(folder, extra="MaxClients 1\n") as server:
        first = open_connection(server.url, QUICK)
        assert first.probe(server.url + "f.dat")[0] == SIZE
        assert refused(server.url + "f.dat", QUICK).failure is Failure.BUSY
        first.close()


@pytest.mark.parametrize("name", ["j%C3%BCrg", "jürg", "a%00b", "a%0d%0aDELE%20f"])
def test_names_that_nobody_has(name: str, folder: Path) -> None:
    with FtpServer(folder) as server:
        error = refused(server.url.replace("ftp://", f"ftp://{name}@") + "f.dat", QUICK)
        assert error.failure in (Failure.FORBIDDEN, Failure.BAD_RESPONSE)
        assert (folder / "f.dat").exists()


# -- host keys --------------------------------------------------------------------------------


def test_an_unknown_host_key(folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "nothing there"
    with SftpServer(folder) as server:
        options = replace(server.reached_by(QUICK), known_hosts=str(known))
        error = refused(server.url + "f.dat", options)
        assert error.failure is Failure.FORBIDDEN
        assert f"is not in {known}" in error.what
        assert f"ssh-keyscan -p {server.port} 127.0.0.1 >> {quote(str(known))}" in error.what
        assert server.fingerprint in error.what
        # As it says, and it goes on.
        known.write_text(server.known_hosts.read_text())
        connection = open_connection(server.url, options)
        assert connection.probe(server.url + "f.dat")[0] == SIZE
        connection.close()


def test_paths_beyond_ascii(folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "bekännt"
    with SftpServer(folder) as server:
        known.write_text(server.known_hosts.read_text())
        connection = open_connection(
            server.url, replace(server.reached_by(QUICK), known_hosts=str(known))
        )
        assert connection.probe(server.url + "f.dat")[0] == SIZE
        connection.close()


def test_another_host_key(folder: Path, tmp_path: Path) -> None:
    kind, key, *_ = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    with SftpServer(folder) as server:
        server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {kind} {key}\n")
        error = refused(server.url + "f.dat", server.reached_by(QUICK))
        assert error.failure is Failure.FORBIDDEN
        assert "is not the one in" in error.what


def test_a_key_that_may_not_log_in(folder: Path, tmp_path: Path) -> None:
    other = HostOptions(ssh_key=str(make_key(tmp_path / "other")))
    with SftpServer(folder) as server:
        options = replace(server.reached_by(QUICK), hosts=Hosts({"127.0.0.1": other}))
        error = refused(server.url + "f.dat", options)
        assert error.failure is Failure.FORBIDDEN
        assert "--ssh-key 127.0.0.1=FILE" in error.what


def test_the_agent(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.sftp import ssh_agent

    with SftpServer(folder) as server, ssh_agent(server.key, tmp_path) as listening:
        monkeypatch.setenv("SSH_AUTH_SOCK", listening)
        monkeypatch.setenv("HOME", str(tmp_path))  # no key of one's own
        options = replace(server.reached_by(QUICK), hosts=Hosts())
        connection = open_connection(server.url, options)
        assert connection.probe(server.url + "f.dat")[0] == SIZE
        connection.close()


# -- TLS --------------------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [True, False])
def test_ftp_over_tls(folder: Path, tmp_path: Path, *, implicit: bool) -> None:
    files = issue(tmp_path / "tls")
    with FtpServer(folder, tls=files, implicit=implicit) as server:
        hosts = Hosts({} if implicit else {"127.0.0.1": HostOptions(ftp_tls=True)})
        options = replace(QUICK, hosts=hosts, cacert=str(files.authority))
        connection = open_connection(server.url, options)
        for start, stop in ((0, SIZE), (5, 1000), (SIZE - 9, SIZE)):
            assert connection.request(server.url + "f.dat", start, stop, SIZE)
            got = read(connection, stop - start)
            assert got == (folder / "f.dat").read_bytes()[start:stop]
            connection.finish()
        connection.close()
        error = refused(server.url + "f.dat", replace(options, cacert=""))
        assert error.failure is Failure.FORBIDDEN
        assert "--cacert" in error.what


def test_no_tls_where_it_is_wanted(folder: Path) -> None:
    """Nothing is sent in the clear instead."""
    with FtpServer(folder) as server:
        options = replace(QUICK, hosts=Hosts({"127.0.0.1": HostOptions(ftp_tls=True, user=USER)}))
        error = refused(server.url + "f.dat", options)
    assert error.failure is Failure.FORBIDDEN
    assert "it does not support TLS (server response: 'AUTH not understood')" in str(error)
    assert "without --ftp-tls 127.0.0.1 the connection is not encrypted" in str(error)


# -- servers that fail ------------------------------------------------------------------------


def test_killed_in_mid_body(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    server, connection = served
    size = 1 << 28  # more than fits on the way
    (folder / "large").touch()
    os.truncate(folder / "large", size)
    assert connection.request(server.url + "large", 0, size, size)
    read(connection, 1)
    server.kill()
    with pytest.raises(RequestFailed) as caught:
        read(connection, size - 1)
    assert caught.value.failure in (Failure.RESET, Failure.TRUNCATED)
    with pytest.raises(RequestFailed) as again:
        connection.request(server.url + "large", 0, size, size)
    assert again.value.failure is Failure.UNREACHABLE


def test_frozen(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    server = served[0]
    connection = impatient(server)
    url = server.url + "f.dat"
    assert connection.probe(url)[0] == SIZE
    server.freeze()
    with pytest.raises(RequestFailed) as caught:
        connection.request(url, 0, SIZE, SIZE)
    assert caught.value.failure is Failure.TIMEOUT
    server.thaw()
    assert connection.request(url, 0, SIZE, SIZE)
    assert read(connection, SIZE) == (folder / "f.dat").read_bytes()
    connection.close()


def test_frozen_and_left_in_mid_body(
    served: tuple[FtpServer | SftpServer, Askable], folder: Path
) -> None:
    """Libcurl would take its leave of the server, and wait for the answer."""
    server, connection = served
    size = 1 << 28
    (folder / "large").touch()
    os.truncate(folder / "large", size)
    assert connection.request(server.url + "large", 0, size, size)
    read(connection, 1)
    server.freeze()
    connection.finish()
    connection.close()


def test_requests_that_follow_on_each_other(
    served: tuple[FtpServer | SftpServer, Askable], folder: Path
) -> None:
    """They need no new login; others do, and all of them get what they asked for."""
    server, connection = served
    content = (folder / "f.dat").read_bytes()
    edges = [0, 1, 100_000, 100_001, 2_000_000, SIZE]
    spans = [*pairwise(edges), *pairwise(edges), (5, 10), (10, 20), (30, 40), (20, 30)]
    for start, stop in spans:
        assert connection.request(server.url + "f.dat", start, stop, SIZE)
        assert read(connection, stop - start) == content[start:stop], (start, stop)
        connection.finish()


def test_nothing_stays_open(served: tuple[FtpServer | SftpServer, Askable], folder: Path) -> None:
    """Not even of transfers that are left early."""
    server, connection = served
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert connection.request(server.url + "f.dat", 0, SIZE, SIZE)
        read(connection, 1)
        connection.close()
        assert len(os.listdir("/proc/self/fd")) == before


def test_aborted_while_it_waits(served: tuple[FtpServer | SftpServer, Askable]) -> None:
    server, connection = served
    assert connection.probe(server.url + "f.dat")[0] == SIZE
    server.freeze()
    waiter = threading.Timer(0.1, connection.abort)
    waiter.start()
    with pytest.raises(RequestFailed) as caught:
        connection.request(server.url + "f.dat", 0, SIZE, SIZE)
    waiter.join()
    assert caught.value.failure is Failure.ABORTED


@pytest.mark.parametrize("scheme", ["ftp", "sftp"])
def test_nobody_accepts_the_connection(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]  # the queue is full
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        error = refused(f"{scheme}://127.0.0.1:{port}/f", replace(QUICK, connect_timeout=0.5))
        assert error.failure is Failure.TIMEOUT
        assert "connection timed out" in error.what
        for one in waiting:
            one.close()


@pytest.mark.parametrize("scheme", ["ftp", "sftp"])
def test_nobody_says_a_word(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/f"
        error = refused(url, replace(QUICK, timeout=0.5))
        assert error.failure is Failure.TIMEOUT
        assert "received nothing" in error.what


@pytest.mark.parametrize("line", [b"220-more\r\n", b"220-" + b"x" * 1000 + b"\r\n"])
def test_words_without_end(line: bytes) -> None:
    """They are no answer, and do not prolong the wait for one."""

    def talk(listener: socket.socket) -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            while not enough.wait(0.05):
                connection.sendall(line)

    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        talker = threading.Thread(target=talk, args=(listener,))
        talker.start()
        url = f"ftp://127.0.0.1:{listener.getsockname()[1]}/f"
        connection = open_connection(url, replace(QUICK, timeout=0.5))
        rescue = threading.Timer(20, connection.abort)
        rescue.start()
        with pytest.raises(RequestFailed) as caught:
            connection.probe(url)
        rescue.cancel()
        enough.set()
        talker.join()
        connection.close()
    assert caught.value.failure is Failure.TIMEOUT
