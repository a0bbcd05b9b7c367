"""``regather get`` of several URLs, of checksums, and of lists."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.test_bad_input import fails
from tests.support.files import regather as run
from tests.support.mirrors import mirror
from tests.support.net import free_port

SHA256 = hashlib.sha256(b"one").hexdigest()


def test_the_odd_one_of_three_is_named(tmp_path: Path) -> None:
    with mirror(b"one") as a, mirror(b"One") as b, mirror(b"one") as c:
        told = run("get", *(m.url + "f" for m in (a, b, c)), cwd=tmp_path)
        assert told.returncode == 0, told.stderr
        assert (tmp_path / "f").read_bytes() == b"one"
        assert f"regather: {b.url}f is not used: it differs at the beginning" in told.stderr
        assert told.stderr.count("NOT verified") == 1
        assert "NOT verified" in told.stdout
        told = run("get", a.url + "f", "--sha256", SHA256, "-o", "g", cwd=tmp_path)
        assert "verified (sha256)" in told.stdout
        assert told.stderr == ""
        fails(
            3,
            "get",
            a.url + "f",
            "--sha256",
            "0" * 64,
            "-o",
            "h",
            cwd=tmp_path,
            says="must be",
            lines=2,
        )
        assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "g"]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (("--sha256", "abc"), "has 3 digits"),
        (("--sha256", "xyz"), "not a checksum"),
        (("--checksum", "crc32:00000000"), "not a supported hash"),
        (("--checksum", "0" * 64), "write ALGO:HEX"),
        (("--select", "f"), "this is neither"),
    ],
)
def test_bad_options(option: tuple[str, str], says: str) -> None:
    with mirror(b"one") as one:
        fails(2, "get", one.url + "f", *option, says=says)


def test_a_list(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/gone"
    (tmp_path / "in").mkdir()
    with mirror(b"one") as a, mirror(b"two") as b:
        (tmp_path / "list.txt").write_text(
            f"# two mirrors of one file\n{a.url}x\t{a.url}y\n  out=named.bin\n"
            f"  checksum=sha-256={SHA256}\n\n{b.url}z\n"
        )
        told = run("get", "-i", tmp_path / "list.txt", "-o", tmp_path / "in")
        assert told.returncode == 0, told.stderr
        assert "2 of 2 files, 6 B, 1 of them NOT verified" in told.stdout
        assert (tmp_path / "in" / "named.bin").read_bytes() == b"one"
        assert (tmp_path / "in" / "z").read_bytes() == b"two"
        (tmp_path / "list.txt").write_text(
            f"{nobody}\n{a.url}new\n{b.url}wrong\n checksum=sha256={SHA256}\n{b.url}z\n"
            f"{b.url}z\n checksum=sha256={SHA256}\n"
        )
        told = run(
            *("get", "-i", tmp_path / "list.txt", "-o", tmp_path / "in", "--json"),
            *("--retries", "0", "-j", "3"),
        )
    assert told.returncode == 3, "a wrong file is worse than one that is not available"
    events = [json.loads(line) for line in told.stdout.splitlines()]
    assert events[-1] == {
        "event": "summary",
        "files": 5,
        "done": 1,
        "kept": 1,
        "size": 3,
        "exit_code": 3,
    }
    errors = {e["what"]: e["exit_code"] for e in events if e["event"] == "file_error"}
    assert [e["path"] for e in events if e["event"] == "kept"] == [str(tmp_path / "in" / "z")]
    assert errors == {nobody: 4, f"{b.url}wrong": 3, f"{b.url}z": 6}
    assert (tmp_path / "in" / "new").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "contains no URL"),
        ("  out=x\n", "line 1: an option before the first URL"),
        ("http://h/f\n  oot=x\n", "line 2: unknown option"),
        ("http://h/f\n  digest=12\n", "line 2: not a digest"),
        ("http://h/f\n  digest=\n", "line 2: not a digest"),
        ("http://h/f\n  out=../x\n", "line 2: out=../x"),
        ("http://h/f\n  out=/x\n", "absolute"),
        ("http://h/f\n  checksum=sha-256=12\n", "has 2 digits"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b"http://h/f\0\n", "bytes of 0"),
        ("\ufeff  out=x\n", "line 1: an option before the first URL"),  # the mark is no text
    ],
)
def test_bad_lists(text: str | bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "l").write_bytes(text if isinstance(text, bytes) else text.encode())
    fails(2, "get", "-i", tmp_path / "l", says=says)


def test_lists_and_what_does_not_go_with_them(tmp_path: Path) -> None:
    fails(2, "get", "-i", tmp_path / "none", says="no such file")
    (tmp_path / "l").write_text("http://127.0.0.1:9/f\n")
    fails(2, "get", "-i", tmp_path / "l", "http://h/f", says="on the command line")
    (tmp_path / "file").touch()
    fails(2, "get", "-i", tmp_path / "l", "-o", tmp_path / "file", says="not a folder")
    fails(2, "get", "-i", tmp_path / "l", "-o", tmp_path / "no" / "sub", says="use --mkdir")
    fails(2, "get", "-i", tmp_path / "l", "-o", "-", says="standard output")
    fails(2, "get", "http://h/f", "http://h/g", "--server", "http://h/", says="mirrors")
