"""What the tables of hosts say beside tokens, and that it gets there."""

from __future__ import annotations

from pathlib import Path

import pytest

from regather.cli.conf.config_file import parse
from regather.cli.conf.host_tables import host_options_in
from regather.cli.hosts import add_hosts, hosts_of
from regather.cli.parsing import Parser
from regather.errors import UsageError
from regather.transport import HostOptions
from tests.support.files import regather as run
from tests.support.rogue import Rogue, sends

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def test_all_of_it(tmp_path: Path) -> None:
    text = """\
[host."a.example"]
cert = "client.pem"
key-file = "/k.pem"
ssh-key = "id"
user = "ann"
ftp-tls = true
header = ["X-Key: a: b", "Y:c"]
[host."b.example:8080"]
header = "Z: 1"
token = "word"
"""
    hosts = host_options_in(parse(text, str(tmp_path / "x.toml")))
    assert hosts == {
        "a.example": HostOptions(
            (("X-Key", "a: b"), ("Y", "c")),
            str(tmp_path / "client.pem"),
            "/k.pem",
            "ann",
            str(tmp_path / "id"),
            True,
        ),
        "b.example:8080": HostOptions((("Z", "1"),)),
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ftp-tls = 1", "has to be true or false"),
        ("user = 5", "has to be text"),
        ("header = 's3cret'", "has to be texts"),
        ("header = [5]", "has to be texts"),
        ("header = 'Host: s3cret'", "the header Host cannot be set"),
        ("key-file = 'x'", "a key without a certificate"),
    ],
)
def test_what_is_wrong(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        host_options_in(parse(f"[host.a]\n{line}\n", "x.toml"))
    assert says in str(caught.value)
    assert str(caught.value).startswith("x.toml:")
    assert "s3cret" not in str(caught.value)


def test_headers_that_all_can_read() -> None:
    with pytest.raises(UsageError, match="chmod 600"):
        host_options_in(parse("[host.a]\nheader = 'X: y'\n", "x.toml", exposed=True))


def test_the_command_line_goes_before_it(tmp_path: Path) -> None:
    parser = Parser("regather")
    add_hosts(parser)
    given = ["--cert", "A.example=mine.pem", "--header", "a.example=X: 1", "--ftp-tls", "b"]
    args = parser.parse_args(given)
    old = HostOptions((("X", "0"),), cert="old.pem", key="old.key", user="ann")
    args.config_hosts = {"a.example": old}
    assert hosts_of(args) == {
        "a.example": HostOptions((("X", "1"),), cert="mine.pem", user="ann"),
        "b": HostOptions(ftp_tls=True),
    }


def test_a_header_is_sent(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.touch(mode=0o600)
    config.write_text('[host."127.0.0.1"]\nheader = "X-Key: 1"\n')
    with Rogue(sends(OK)) as rogue:
        told = run("get", rogue.url + "f", "-o", tmp_path / "got", "--config", config)
        assert told.returncode == 0, told.stderr
        assert all(b"X-Key: 1\r\n" in request for request in rogue.requests)
