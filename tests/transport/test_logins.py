"""~/.netrc: the entries that curl's tests of it have, and where we differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from regather.transport import Credentials, logins

TWO = "machine a.example login one password 1\nmachine a.example login two password 2\n"

# No standard tells what netrc is; ftp(1) and curl are what people write it for.
CASES = [
    ("no entry", TWO, "b.example", "", None),
    ("a name below one", "machine example login u password p", "a.example", "", None),
    ("the first of two (130, 682)", TWO, "a.example", "", ("one", "1")),
    ("the one of a user (131, 683)", TWO, "a.example", "two", ("two", "2")),
    ("nobody of that name (1304)", TWO, "a.example", "t", None),
    ("nor of a longer one (1304)", TWO, "a.example", "twofold", None),
    ("case of the host", "machine A.Example login u password p", "a.EXAMPLE", "", ("u", "p")),
    ("case of the user", "machine a.example login U password p", "a.example", "u", None),
    ("an IDNA name", "machine b\u00fccher.example login u password p", "xn--bcher-kva.example", "",
     ("u", "p")),
    ("the same as browsers write it", "machine xn--bcher-kva.example login u password p",
     "b\u00fccher.example", "", ("u", "p")),
    ("an address", "machine ::1 login u password p", "::1", "", ("u", "p")),
    ("keys in capitals", "MACHINE a.example LOGIN u Password p", "a.example", "", ("u", "p")),
    ("a macro in capitals", "MACDEF init\n machine a.example login x password y\n\n" + TWO,
     "a.example", "", ("one", "1")),
    ("a byte order mark", "\ufeffmachine a.example login u password p", "a.example", "",
     ("u", "p")),
    ("comments (130)", "# machine a.example login x password y\n" + TWO, "a.example", "",
     ("one", "1")),
    ("a comment behind", "machine a.example # here\n login u # me\n password p # s", "a.example",
     "", ("u", "p")),
    ("a password like one", "machine a.example login u password #p", "a.example", "", ("u", "#p")),
    ("a password like a key", "machine a.example login u password machine", "a.example", "",
     ("u", "machine")),
    ("a macro (494)", "macdef init\n cd login\n machine a.example login x password y\n\n" + TWO,
     "a.example", "", ("one", "1")),
    ("a macro of an entry", "machine b.example login x password y\nmacdef init\n bin\n \n" + TWO,
     "a.example", "", ("one", "1")),
    ("a macro without end", TWO + "macdef init\n bin", "a.example", "", ("one", "1")),
    ("quotes (679)", 'machine a.example login "user one" password "with \\"\\t\\a"', "a.example",
     "", ("user one", 'with "\ta')),
    ("password before login (478)", "machine a.example\npassword x\npassword p\nlogin u",
     "a.example", "", ("u", "p")),
    ("account", "machine a.example login u account acct password p", "a.example", "", ("u", "p")),
    ("user for login", "machine a.example user u password p", "a.example", "", ("u", "p")),
    ("no login (684)", "machine a.example password p", "a.example", "", ("", "p")),
    ("no login, for whoever it is (685)",
     "machine a.example password x login other\nmachine a.example password p", "a.example", "me",
     ("", "p")),
    ("no password", "machine a.example login u\n" + TWO, "a.example", "", ("one", "1")),
    ("a long line (744)", f"machine a.example login u password {'p' * 5000}", "a.example", "",
     ("u", "p" * 5000)),
    ("carriage returns", TWO.replace("\n", "\r\n"), "a.example", "", ("one", "1")),
    # curl takes what is wrong for two words of it; a part of a password would be sent on its own.
    ("a word too many", "machine a.example login u password two words\n" + TWO, "a.example", "u",
     None),
    ("others are used all the same", "machine b.example login u password two words\n" + TWO,
     "a.example", "", ("one", "1")),
    # curl has "default" for everybody (130): a manifest may name any host, to see it pass by.
    ("default is for nobody", "default login u password p", "a.example", "", None),
    ("nor for a host of that name", "default login u password p", "default", "", None),
    ("if it is a host", "machine default login u password p", "default", "", ("u", "p")),
]  # fmt: skip


def test_a_file_without_end_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    assert Credentials.gather(None, {"NETRC": "/dev/zero"}).login("a.example") is None
    assert "/dev/zero is not used: file too large" in caplog.text


def test_nor_is_one_that_is_longer_than_curl_reads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "netrc"
    path.write_text(TWO + "#" * ((128 << 10) + 1 - len(TWO)))
    assert Credentials.gather(None, {"NETRC": str(path)}).login("a.example") is None
    assert "is not used: file too large" in caplog.text
    path.write_text(TWO + "#" * ((128 << 10) - len(TWO)))
    assert Credentials.gather(None, {"NETRC": str(path)}).login("a.example") == ("one", "1")


def test_what_is_no_text_is_not_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would take the codec of host names 30 microseconds or more."""
    asked: list[str] = []

    def note(host: str) -> str:
        asked.append(host)
        return host

    monkeypatch.setattr(logins, "ascii_host", note)
    (tmp_path / "netrc").write_bytes(b"machine a\xff machine \x01 machine b.example")
    assert [entry.host for entry in logins.read_logins(str(tmp_path / "netrc"))[0]] == asked
    assert asked == ["b.example"]


@pytest.mark.parametrize(
    ("text", "host", "user", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_who_logs_in(
    text: str, host: str, user: str, expected: tuple[str, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "netrc"
    path.write_text(text)
    assert Credentials.gather(None, {"NETRC": str(path)}).login(host, user) == expected
