"""Bad input: one clear line, the right exit code, no traceback, and nothing lost."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import regather
from regather.cli import main
from tests.support.files import alone, leftovers, random_file, without_progress
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.net import free_port


def fails(
    code: int, *arguments: str | Path, says: str, cwd: Path | None = None, lines: int = 1
) -> str:
    """Run a command that must fail: with this exit code, in one line that says so."""
    result = run(*arguments, cwd=cwd)
    assert result.returncode == code, (result.returncode, result.stderr)
    told = [line for line in result.stderr.splitlines() if "NOT verified" not in line]
    assert len(told) <= lines, result.stderr
    assert says.lower() in result.stderr.lower(), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    return result.stderr


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with file.bin split into it."""
    random_file(tmp_path / "file.bin", 5000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=3)
    return tmp_path


# -- one line with the next step ---------------------------------------------------------------

M = "out/file.bin.regather.json"
MANIFEST_READERS = ("info", "check", "repair", "metalink", "get", "sign --secret-key k")
HOSTILE = [
    *(f"{command} {what}" for command in MANIFEST_READERS for what in (
        "none", "none.regather.json", "folder.regather.json", "empty.regather.json",
        "text.regather.json", "file.bin/x.regather.json", "http://", "http://[::1", "h\u00f6\u202e",
    )),
    *(f"{command} {what} {target}"
      for command, target in (("split", "--out o"), ("publish", "--to t"))
      for what in ("none", "file.bin/x", "s3://b/x", "-", "h\u00f6\u202e", "''")),
    *(f"get {M} -o copy {option}" for option in (
        "--select x", "--exclude x", "--cookies none", "--cookies folder", "--known-hosts none",
        "--cacert none", "--digest 12", "--sha256 12", "--checksum md6:00", "--header @none",
        "--limit-rate -1", "--retries -1", "--connections 0", "--timeout nan", "--seed none",
    )),
    f"get {M} -o no/such/place", "get -i none", "get -i folder", f"get -i text {M}",
    "split file.bin --out file.bin", "split file.bin --out o --fragments 0",
    "split file.bin --out o --fragments 2 --chunk-size 1MB", "split file.bin --out o --parity 300",
    "split file.bin --out o --servers 3 --replicas 9", "split file.bin --out o --at x",
    "publish file.bin --to file.bin", "publish file.bin --to t --to t",
    "publish file.bin --to t --parity 1", "publish file.bin --to t --sign-with none",
    f"repair {M} --to file.bin", f"check {M} --read-data 200%", f"check {M} --server none",
    "serve none", "serve out --port 99999", "serve out --fault x", "serve out --tls-cert none",
    "cluster file.bin", "cluster none", "cluster out --fault 9:die", "demo --size -1",
    "gateway none --port 0", "gateway http://[::1 --port 0",
    f"gateway {M} --cache file.bin --port 0",
    "generate folder", "generate no/such", "generate x --size -5", "generate file.bin",
    "keygen --password-file none", f"sign {M} --secret-key none", f"sign {M} --secret-key folder",
    "config x", "completion tcsh", "help nothing", "nonsense", "--nonsense",
]  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is not what it is called."""
    folder = tmp_path_factory.mktemp("odd")
    random_file(folder / "file.bin", 5000)
    regather.split(folder / "file.bin", folder / "out", servers=3, parity=1)
    for name in ("folder", "folder.regather.json"):
        (folder / name).mkdir()
    for name, content in (("empty.regather.json", ""), ("text.regather.json", "x"), ("text", "x")):
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("line", HOSTILE)
def test_every_refusal_is_one_line_with_the_next_step(
    line: str, odd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(odd)
    before = sorted(odd.rglob("*"))
    try:
        code: int | str | None = main(shlex.split(line))
    except SystemExit as end:  # of argparse
        code = end.code
    told = capsys.readouterr()
    assert code in (1, 2, 3, 4, 6), told
    assert told.out == ""
    error = without_progress(told.err)
    assert error.count("\n") == 1, error
    assert re.match(r"regather( \w+: error)?: ", error)
    assert "; " in error or " (" in error, "no next step"
    assert "Traceback" not in error
    assert sorted(odd.rglob("*")) == before


# -- names and sizes --------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["", "12XB", "-5MB", "1e9", "ten", "1.5", "0x10", "9999999999GB"])
def test_malformed_sizes(tmp_path: Path, size: str) -> None:
    fails(2, "generate", tmp_path / "x", f"--size={size}", says="size")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("size", ["100KB", "1KiB", "32KiB", "128MiB", "0"])
def test_piece_sizes_that_no_file_may_have(made: Path, size: str) -> None:
    told = fails(
        2, "split", made / "file.bin", "--out", made / "o", "--piece-size", size, says="piece size"
    )
    assert "64 KiB to 64 MiB" in told
    assert not (made / "o").exists()


def test_more_pieces_than_a_manifest_should_hold(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 37)
    arguments = (tmp_path / "sparse", "--out", tmp_path / "o", "--piece-size", "64KiB")
    fails(2, "split", *arguments, says="use a larger --piece-size")


def test_no_such_file(tmp_path: Path) -> None:
    fails(2, "split", tmp_path / "none", "--out", tmp_path / "out", says="no such file")
    fails(2, "get", tmp_path / "none.regather.json", says="no such file", cwd=tmp_path)
    fails(2, "serve", tmp_path / "none", says="no such")
    fails(2, "cluster", tmp_path / "none", says="no such folder")
    fails(2, "info", tmp_path / "none", says="no such file")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_a_file_is_meant(tmp_path: Path) -> None:
    fails(2, "split", tmp_path, "--out", tmp_path / "out", says="is inside the source folder")
    fails(2, "get", tmp_path, says="is a directory", cwd=tmp_path)
    fails(2, "generate", tmp_path, says="is a folder")


def test_not_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    fails(2, "split", tmp_path / "pipe", "--out", tmp_path / "out", says="not a regular file")


@pytest.mark.parametrize(
    "arguments", ["split . --out x", "publish . --to x", "publish .. --to x", "serve ."]
)
def test_the_current_folder_was_removed(tmp_path: Path, arguments: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, sys.argv[1:])"
    command = [sys.executable, "-c", code, sys.executable, "-m", "regather", *arguments.split()]
    result = subprocess.run(
        command, cwd=gone, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 2
    assert "no such file" in result.stderr
    assert result.stderr.count("\n") == 1


def test_names_that_the_terminal_has_no_letters_for(tmp_path: Path) -> None:
    folder = tmp_path / "größe\u202e"
    folder.mkdir()
    (folder / "größe\u202e").write_bytes(b"x")
    manifest = tmp_path / "out" / "größe\u202e.regather.json"
    for words in (
        ("publish", folder, "--to", tmp_path / "out", "--survive", "0"),
        ("info", manifest, "--files"),
        ("check", manifest),
        ("split", folder, "--out", tmp_path / "split"),
    ):
        result = subprocess.run(
            [sys.executable, "-m", "regather", *map(str, words)],
            env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert (result.returncode, result.stderr) == (0, b"")
        assert b"gr\\xf6" in result.stdout
        if words[0] in ("info", "check"):
            assert b"\\u202e" in result.stdout


@pytest.mark.skipif(
    shutil.which("setpriv") is None, reason="setpriv is missing: apt-get install util-linux"
)
def test_unreadable(made: Path) -> None:
    """Root may read everything, so this runs as nobody."""
    secret = made / "secret.bin"
    secret.write_bytes(b"x")
    secret.chmod(0)
    made.chmod(0o755)
    import sys

    command = [sys.executable, "-m", "regather", "split", str(secret), "--out", str(made / "o")]
    if os.geteuid() == 0:
        reached = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "ls", str(made)],
            capture_output=True,
            check=False,
        )
        python = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", "import regather"],
            capture_output=True,
            check=False,
        )
        if reached.returncode or python.returncode:
            # Not reachable for nobody here: let a folder in the way show the same error.
            command[4] = "/proc/1/mem"
            secret = Path("/proc/1/mem")
            expected = "regather: "
        else:
            command = ["setpriv", "--reuid=65534", "--clear-groups", *command]
            expected = "permission denied"
    else:
        expected = "permission denied"
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode in (1, 2)
    assert expected in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_destination_exists(made: Path) -> None:
    good = made / "good.bin"
    good.write_bytes(b"precious")
    manifest = made / "out" / "file.bin.regather.json"
    fails(6, "get", manifest, "-o", good, says="already exists with 8 bytes")
    fails(6, "generate", good, "--size", "5", says="already exists")
    fails(6, "split", made / "file.bin", "--out", made / "out", says="--force")
    assert good.read_bytes() == b"precious"
    assert run("get", manifest, "-o", good, "--force").returncode == 0
    assert good.read_bytes() == (made / "file.bin").read_bytes()


def test_force_keeps_the_good_file_when_the_download_fails(made: Path) -> None:
    good = made / "good.bin"
    good.write_bytes(b"precious")
    (made / "out" / "file_fragment_2.dat").write_bytes(b"wrong")
    manifest = made / "out" / "file.bin.regather.json"
    fails(4, "get", manifest, "-o", good, "--force", says="file_fragment_2.dat", lines=3)
    assert good.read_bytes() == b"precious"


def test_split_never_replaces_its_input_or_odd_files(tmp_path: Path) -> None:
    source = random_file(tmp_path / "file_fragment_1.dat", 5000)
    content = source.read_bytes()
    fails(2, "split", source, "--out", tmp_path, "--force", says="is the file to split")
    assert source.read_bytes() == content
    other = random_file(tmp_path / "f", 5000)
    package_out = tmp_path / "o"
    regather.split(other, package_out, fragments=2)
    (package_out / "file_fragment_5.dat").mkdir()
    before = {p.name: p.read_bytes() for p in package_out.iterdir() if p.is_file()}
    fails(2, "split", other, "--out", package_out, "--force", says="not a regular file")
    assert {p.name: p.read_bytes() for p in package_out.iterdir() if p.is_file()} == before


def test_destination_folder_missing(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    fails(2, "get", manifest, "-o", made / "no" / "where", says="does not exist")


def test_options_that_contradict(made: Path) -> None:
    file = made / "file.bin"
    out = made / "o"
    fails(2, "split", file, "--out", out, "--fragments", "9999", says="some would be empty")
    fails(2, "split", file, "--out", out, "--fragments", "0", says="must be 1 or more")
    fails(2, "split", file, "--out", out, "--chunk-size", "0", says="must be 1 byte")
    fails(2, "split", file, "--out", out, "--replicas", "2", says="--servers")
    fails(
        2, "split", file, "--out", out, "--servers", "2", "--replicas", "3", says="need more than"
    )
    fails(
        2, "split", file, "--out", out, "--fragments", "2", "--chunk-size", "5", says="not allowed"
    )
    fails(2, "split", file, "--out", out, "--servers", "2", "--at", "http://a/", says="--at once")
    fails(2, "get", says="nothing to get")
    fails(2, "get", "--fragment", "http://h/f", "--server", "http://h/", says="need a manifest")
    fails(2, "get", "m", "127.0.0.1:9001", says="use --server")
    fails(2, "frobnicate", says="not a command")
    assert not out.exists() or not any(out.rglob("*.dat"))


def test_empty_file_into_several_fragments(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    fails(2, "split", tmp_path / "empty", "--out", tmp_path / "o", "--fragments", "3", says="empty")


def test_port_in_use(made: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = fails(1, "serve", made / "out", "--port", port, says="in use")
        assert port in told
        told = fails(1, "cluster", made / "out", "--first-port", port, says="in use")
        assert port in told
        assert "--first-port" in told
        assert "--port " not in told
    fails(2, "cluster", made / "out", "--first-port", "65536", says="--first-port")
    fails(2, "cluster", made / "out", "--host", "no-such-host.invalid", says="unknown host")
    fails(1, "cluster", made / "out", "--host", "192.0.2.1", says="--host")


@pytest.mark.parametrize("spec", ["explode", "error:99", "reset@7", "slow", "die@", "corrupt@-1s"])
def test_bad_faults(made: Path, spec: str) -> None:
    fails(2, "serve", made / "out", "--port", "0", "--fault", spec, says=spec)


# -- a full disk ------------------------------------------------------------------------------


def test_disk_full(tmp_path: Path, tiny_disk: Path) -> None:
    large = random_file(tmp_path / "large.bin", 12 << 20)
    regather.split(large, tmp_path / "out")
    manifest = tmp_path / "out" / "large.bin.regather.json"
    fails(1, "get", manifest, "-o", tiny_disk / "x", says="no space")
    assert list(tiny_disk.iterdir()) == []
    fails(1, "generate", tiny_disk / "x", "--size", "11MiB", says="no space")
    assert list(tiny_disk.iterdir()) == []
    fails(1, "split", large, "--out", tiny_disk / "o", says="no space")
    assert not any(p.is_file() for p in tiny_disk.rglob("*"))
    (tmp_path / "tree").mkdir()
    large.rename(tmp_path / "tree" / "large.bin")
    regather.split(tmp_path / "tree", tmp_path / "packed")
    manifest = tmp_path / "packed" / "tree.regather.json"
    before = list(tiny_disk.iterdir())
    fails(1, "get", manifest, "-o", tiny_disk / "y", says="no space")
    assert list(tiny_disk.iterdir()) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("options", [("--json",), ()])
def test_output_to_a_full_disk(tmp_path: Path, options: tuple[str, ...]) -> None:
    large = random_file(tmp_path / "f", 1000)
    regather.split(large, tmp_path / "out")
    command = ["get", str(tmp_path / "out" / "f.regather.json"), "-o", str(tmp_path / "got")]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "regather", *command, *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == (
        "regather: cannot write to standard output: no space left on device; "
        "free some space, or choose another place\n"
    )
    assert (tmp_path / "got").read_bytes() == large.read_bytes()


@pytest.mark.parametrize("tiny_disk", [40], indirect=True)
def test_disk_full_halfway(
    tmp_path: Path, tiny_disk: Path, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Something else takes the space while the download runs: an error, and a way to go on."""
    # Else a machine that is quick enough reserves the space, and nobody can take it.
    monkeypatch.setattr("regather.files.platform._CHEAP_SECONDS", 0.0)
    large = random_file(tmp_path / "large.bin", 30 << 20)
    regather.split(large, tmp_path / "out", fragments=1)
    manifest = str(tmp_path / "out" / "large.bin.regather.json")
    url = hosting.serve(tmp_path / "out", faults=["slow:10MB"]).url
    hog = tiny_disk / "hog"

    def watch(progress: regather.Progress) -> None:
        if progress.done > 0 and not hog.exists():
            with hog.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))

    with pytest.raises(regather.StorageError, match="no space"):
        regather.download(manifest, tiny_disk / "x", servers=[url], on_progress=watch)
    hog.unlink()
    report = regather.download(manifest, tiny_disk / "x", servers=[url])
    assert report.resumed > 0
    assert (tiny_disk / "x").read_bytes() == large.read_bytes()


# -- manifests --------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], object]


def test_manifests_that_are_none(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    whole = manifest.read_bytes()
    for content, says in [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (whole[: len(whole) // 2], "truncated"),
        (b"[1, 2]", "not a regather manifest"),
        (b'{"format": "other", "version": 1}', "not a regather manifest"),
        (b"[" * 100_000, "not"),
        (b'{"format":"regather","version":' + b"9" * 400 + b"}", "not"),
    ]:
        manifest.write_bytes(content)
        fails(3, "get", manifest, "-o", made / "got", says=says)
        assert leftovers(made) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(version=2), "version 2 is not supported"),
        (lambda d: d.update(version="1"), "version"),
        (lambda d: d.update(size=-5), "size"),
        (lambda d: d.update(size=2**63), "size"),
        (lambda d: d.update(size=10**400), "size"),
        (lambda d: d.update(size=4999), "sum of the fragments is 5000 bytes"),
        (lambda d: d.update(piece_size=0), "piece_size"),
        (lambda d: d.update(piece_size=2**40), "piece_size"),
        (lambda d: d.update(piece_size=3000), "power of two"),
        (lambda d: d.update(name="../evil"), "path separator"),
        (lambda d: d.update(name=".."), "folder reference"),
        (lambda d: d.update(name="a\nb"), "control character"),
        (lambda d: d.update(name="x" * 256), "name"),
        (lambda d: d["fragments"][1].update(name="../../etc/passwd"), "fragments[1].name"),
        (lambda d: d["fragments"][1].update(name="file_fragment_1.dat"), "is listed twice"),
        (lambda d: d["fragments"][1].update(offset=5), "overlaps"),
        (lambda d: d["fragments"][1].update(offset=1700), "leaves a gap"),
        (lambda d: d["fragments"][1].update(index=1), "is listed twice"),
        (lambda d: d["fragments"].pop(1), "leaves a gap"),
        (lambda d: d["fragments"].clear(), "fragments"),
        (lambda d: d["fragments"][0].update(size=-1), "fragments[0].size"),
        (lambda d: d["fragments"][0].update(size=2**59), "hashes"),
        (lambda d: d["fragments"][0].update(hashes="***"), "base64"),
        (lambda d: d["fragments"][0].update(hashes=""), "hashes"),
        (
            lambda d: d["fragments"][0].update(hashes=base64.b64encode(bytes(32)).decode()),
            "digest does not match",
        ),
        (lambda d: d.update(digest="0" * 64), "digest does not match"),
        (lambda d: d.update(digest="xyz"), "digest"),
        (lambda d: d.update(sources=[{"url": "file:///etc/"}]), "file:///etc"),
        (lambda d: d.update(sources=[{"url": "file://localhost/etc/"}]), "file://localhost/etc"),
        (lambda d: d.update(sources=[{"url": "http://u:p@h/"}]), "credentials"),
        (lambda d: d.update(sources=[{"url": "http://h/?q"}]), "query"),
        (lambda d: d.update(sources=[{"url": "http://h:99999/"}]), "sources[0].url"),
        (lambda d: d.update(sources=[{"url": "http://h/", "fragments": [9]}]), "fragment 9"),
    ],
)
def test_manifests_that_contradict(made: Path, change: Change, says: str) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    document = json.loads(manifest.read_bytes())
    change(document)
    manifest.write_text(json.dumps(document))
    fails(3, "get", manifest, "-o", made / "got", says=says)
    assert not (made / "got").exists()
    assert leftovers(made) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["fragments"][0].update(kind="\x1b]0;evil\x07"),
        lambda d: d.update(sources=[{"url": "http://h\x1b]0;evil\x07\u2100/"}]),
        lambda d: d.update(sources=[{"url": "\x1b]0;evil\x07://h/"}]),
        lambda d: d.update(format="\x1b]0;evil\x07"),
        lambda d: d.update(created="\x1b]0;evil\x07"),
    ],
)
def test_what_a_manifest_says_cannot_move_the_cursor(made: Path, change: Change) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    document = json.loads(manifest.read_bytes())
    change(document)
    manifest.write_text(json.dumps(document))
    told = run("info", manifest)
    assert "\\x1b]0;evil\\x07" in told.stdout + told.stderr
    assert "\x1b" not in told.stdout + told.stderr


def test_unknown_keys_are_ignored(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    document = json.loads(manifest.read_bytes())
    document["later"] = {"more": [1]}
    document["fragments"][0]["also"] = None
    manifest.write_text(json.dumps(document))
    assert run("get", manifest, "-o", made / "got").returncode == 0


def test_pinned_digest(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    digest = json.loads(manifest.read_bytes())["digest"]
    fails(3, "get", manifest, "-o", made / "got", "--digest", "0" * 64, says=digest)
    fails(2, "get", manifest, "-o", made / "got", "--digest", digest[:8], says="all 64")
    assert run("get", manifest, "-o", made / "got", "--digest", digest.upper()).returncode == 0


# -- servers ----------------------------------------------------------------------------------


def test_unknown_host_and_nobody_listening(made: Path) -> None:
    manifest = alone(made / "out" / "file.bin.regather.json")
    quick = ("--retries", "0", "--connect-timeout", "2", "-o", made / "got")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{unused.getsockname()[1]}"
        fails(4, "get", manifest, "--server", nobody, *quick, says="refused", lines=4)
        fails(4, "get", "--fragment", f"{nobody}/f", *quick, says="refused", lines=4)
        fails(4, "get", f"http://{nobody}/x.regather.json", *quick, says="cannot get the manifest")
        assert leftovers(made) == []
    host = "http://no-such-host.invalid/"
    fails(4, "get", manifest, "--server", host, *quick, says="unknown host", lines=4)
    fails(4, "get", host + "x.regather.json", *quick, says="unknown host")


@pytest.mark.parametrize(
    "words",
    [
        "get http://HOST/x.regather.json",
        "get http://HOST/x.meta4",
        "get http://HOST/x",
        "get http://HOST/x http://HOST/y",
        "get --fragment http://HOST/x",
        "get HOST/x.regather.json",
        "info http://HOST/x.regather.json",
        "check http://HOST/x.regather.json",
        "repair http://HOST/x.regather.json",
        "metalink http://HOST/x.regather.json",
    ],
)
def test_the_only_source_is_away(tmp_path: Path, words: str) -> None:
    """The same, whatever kind of address it is that cannot be had."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        named = words.replace("HOST", f"127.0.0.1:{unused.getsockname()[1]}").split()
        quick = ("--retries", "0")
        told = fails(4, *named, *quick, says="refused", cwd=tmp_path, lines=1 + words.count("/y"))
        assert "then run the same command again" in told
        result = run(*named, *quick, *([] if named[0] == "metalink" else ["--json"]), cwd=tmp_path)
        assert result.returncode == 4
        if result.stdout:
            found = json.loads(result.stdout)
            assert found["exit_code"] == 4
            assert len(found["missing"]) == 1 + words.count("/y")


@pytest.mark.parametrize(
    "url", ["http://", "http://:80/", "http://h:99999/", "gopher://h/f", "http://[::1/", "gopher:x"]
)
def test_urls_that_are_none(made: Path, url: str) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    result = run("get", manifest, "--server", url, "-o", made / "got")
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert run("get", "--fragment", url, "-o", made / "got").returncode in (2, 4)
    assert not (made / "got").exists()


# -- what new users stumbled over -------------------------------------------------------------


LONG = "x" * 300


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["get", "out/file.bin.regather.json", "-o", LONG], 2, "longer than 255 bytes"),
        (["get", "out/file.bin.regather.json", "-o", f"{LONG}/x"], 2, "longer than 255 bytes"),
        (["get", "-i", "list", "-o", LONG], 2, "too long"),
        (["get", "out/file.bin.regather.json", "-o", "file.bin/x"], 2, "'file.bin' is a file"),
        (
            ["get", "-i", "list", "--retries", "0", "-o", "here"],
            4,
            "regather: http://127.0.0.1:1/a",
        ),
        (["cluster", LONG], 2, "no such folder"),
        (["cluster", "file.bin"], 2, "is a file, not a folder"),
        (["cluster", "out", "--fault", "nonsense"], 2, "bad fault 'nonsense'"),
        (["cluster", "out", "--fault-seed", "x"], 2, "--fault-seed"),
        (["demo", "--size", "2"], 2, "use a larger --size"),
        (["demo", "--rate", "0"], 2, "must be more than 0"),
        (["publish", "file.bin", "--to", "8000"], 2, "127.0.0.1:8000"),
        (["split", "file.bin", "--out", "o", "--servers", "100000"], 2, "more than 10000"),
        (["split", "file.bin", "--out", "o", "--servers", "1" * 12], 2, "too large"),
        (["split", "file.bin", "--out", "o", "--at", "ftp:/x"], 2, "--at"),
        (["split", "file.bin", "--out", "file.bin/o"], 2, "not a directory"),
        (["split", "file.bin", "--out", LONG], 2, "too long"),
        (["split", LONG, "--out", "o"], 2, "too long"),
        (["publish", LONG, "--to", "o"], 2, "too long"),
        (["get", "out/file.bin.regather.json", "-o", f"{LONG}/"], 2, "too long"),
    ],
)
def test_what_cannot_be_meant(made: Path, words: list[str], code: int, says: str) -> None:
    (made / "list").write_text("http://127.0.0.1:1/a\n")
    before = {path for path in made.rglob("*") if path.is_file()}
    result = run(*words, cwd=made)
    assert (result.returncode, result.stderr.count("\n")) == (code, 1), result.stderr
    assert says in result.stderr
    assert result.stderr.count("http://127.0.0.1:1/a") <= 1
    assert {path for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "words",
    [
        ["split", "", "--out", "o"],
        ["split", "file.bin", "--out", ""],
        ["publish", "", "--to", "o"],
        ["publish", "file.bin", "--to="],
        ["serve", ""],
        ["cluster", ""],
        ["get", ""],
        ["get", "out/file.bin.regather.json", "-o", ""],
        ["get", "out/file.bin.regather.json", "-o", "x", "--digest", ""],
        ["get", "out/file.bin.regather.json", "-o", "x", "--sha256="],
        ["repair", "out/file.bin.regather.json", "--to", ""],
    ],
)
def test_an_empty_argument_is_a_mistake(made: Path, words: list[str]) -> None:
    """As where a script's variable is not set: nothing is done that nobody meant."""
    before = sorted(made.rglob("*"))
    told = fails(2, *words, says="name what is meant, or leave it out", cwd=made)
    empty = next(n for n, word in enumerate(words) if not word or word.endswith("="))
    option = words[empty].rstrip("=") or words[empty - 1]
    assert (
        f"{option}: nothing is given" if option.startswith("-") else "an empty argument"
    ) in told
    assert sorted(made.rglob("*")) == before


def test_no_proxy_at_all_is_an_empty_argument(made: Path) -> None:
    words = ("get", "out/file.bin.regather.json", "-o", "x", "--proxy", "", "--no-proxy=")
    assert run(*words, cwd=made).returncode == 0


# -- streams, and paths that lead to them -----------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_a_standard_stream_all_else_goes_on(made: Path, closed: str) -> None:
    """As started by some daemons. No file may get the number of a stream, and our output."""
    manifest, copy = made / "out/file.bin.regather.json", made / "copy"
    get, check = ("get", manifest, "-o", copy), ("check", manifest)
    for arguments, code in ((get, 0), (check, 0), (("info", made / "none"), 2)):
        words = " ".join(f"'{word}'" for word in (sys.executable, "-m", "regather", *arguments))
        result = subprocess.run(
            ["sh", "-c", f"{words} {closed}"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        assert code or arguments is check or result.stderr == ""
    assert copy.read_bytes() == (made / "file.bin").read_bytes()


def test_an_output_that_is_for_reading_only(made: Path) -> None:
    manifest = made / "out/file.bin.regather.json"
    with open(os.devnull, "rb") as out:
        result = subprocess.run(
            [sys.executable, "-m", "regather", "info", str(manifest)],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("regather: cannot write to standard output")
    assert result.stderr.count("\n") == 1


def test_errors_that_cannot_be_told_keep_their_exit_code(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "regather", "check", str(tmp_path / "none")],
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=60,
            check=False,
        )
    assert result.returncode == 2


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_a_download_to_a_stream_by_its_path(made: Path, path: str) -> None:
    """Where it leads to a file, --force would replace the link itself."""
    manifest = made / "out/file.bin.regather.json"
    fails(2, "get", manifest, "-o", path, "--force", says="standard output")


@pytest.mark.parametrize("path", ["x" * 300, "a/" * 3000])
@pytest.mark.parametrize("command", ["get MANIFEST -o", "check", "publish", "get -i"])
def test_paths_that_are_too_long(made: Path, command: str, path: str) -> None:
    words = command.replace("MANIFEST", str(made / "out/file.bin.regather.json")).split()
    more = ["--to", str(made / "to")] if command == "publish" else []
    fails(2, *words, path, *more, says="long")


# -- what split is told about servers ---------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["nonsense", "http://ann:SECRET@a.example/", "http://a.example/?key=SECRET"]
)
def test_addresses_that_no_manifest_may_name(made: Path, url: str) -> None:
    arguments = (made / "file.bin", "--out", made / "o", "--servers", "1", "--at", url)
    told = fails(2, "split", *arguments, says="--at")
    assert "SECRET" not in told
    assert not (made / "o").exists()


def test_one_address_for_two_servers(made: Path) -> None:
    at = ("--at", "http://a.example/d", "--at", "http://a.example/d/")
    fails(2, "split", made / "file.bin", "--out", made / "o", "--servers", "2", *at, says="twice")
    assert not (made / "o").exists()


def test_more_servers_than_anybody_has(made: Path) -> None:
    arguments = (made / "file.bin", "--out", made / "o", "--servers", "10000000")
    fails(2, "split", *arguments, says="more than 10000")
    assert not (made / "o").exists()


@pytest.mark.parametrize("words", [("--foo",), ("-x",), ("--json", "--foo")])
def test_an_unknown_option_is_named_even_without_a_command(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert result.stderr == (
        f"regather: error: not understood: {' '.join(words)}; see `regather --help`\n"
    )


def test_a_command_is_asked_for() -> None:
    fails(2, "--no-config", says="regather: error: no command is given; see `regather --help`")


def test_without_anything_there_is_help() -> None:
    result = run()
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == run("-h").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("gte", "x"), "not a command: 'gte'; did you mean `regather get`?"),
        (("Publish",), "did you mean `regather publish`?"),
        (("download",), "there are get, gateway, "),
        (("https://a.example/x.iso",), "did you mean `regather get https://a.example/x.iso`?"),
        (("get", "x", "--ouput", "y"), "not understood: --ouput y; did you mean --output?"),
        (("publish", "f", "--too", "x"), "are required: --to; did you mean --to?"),
        (("get", "x", "--retrys=3"), "not understood: --retrys=3; did you mean --retries?"),
        (("--verison",), "not understood: --verison; did you mean --version?"),
        (("serve", "x", "--colour"), "not understood: --colour; see `regather serve --help`"),
    ],
)
def test_slips_are_told_with_what_was_meant(words: tuple[str, ...], meant: str) -> None:
    fails(2, *words, says=meant)


def test_a_very_long_address_is_shortened(tmp_path: Path) -> None:
    done = run("get", f"http://127.0.0.1:{free_port()}/{'x' * 9000}.iso", "-o", tmp_path / "f")
    assert done.returncode == 4
    *_, line = done.stderr.splitlines()
    assert "xx...xx" in line
    assert len(line) < 1000


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(bytes(3000))
    (tmp_path / "tree" / "b").write_bytes(bytes(45))
    regather.split(tmp_path / "tree", tmp_path / "out", fragments=1)
    done = run("get", tmp_path / "out" / "tree.regather.json", "-o", tmp_path / "got")
    assert "got: 2 files, 3.0 KiB (3045 bytes), packed 5.5 KiB, in" in done.stdout, done.stdout
