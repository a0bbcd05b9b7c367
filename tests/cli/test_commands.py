"""The commands as a user calls them: what they print, and to where."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import regather as package
from regather.cli.commands import COMMANDS
from regather.cli.get_report import describe
from regather.units import format_size
from tests.support.files import alone, random_file, without_progress
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.net import free_port


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "file.bin", 3_500_000)
    package.split(tmp_path / "file.bin", tmp_path / "out", servers=2)
    return tmp_path


def test_version_and_help() -> None:
    assert run("--version").stdout == f"regather {package.__version__}\n"
    overview = run("--help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in overview
        told = run(command, "--help").stdout
        assert "examples:\n" in told
        assert "exit codes:" in told


def test_version_imports_nothing_heavy() -> None:
    code = (
        "import sys; from regather.cli import main; main(['--version']); "
        "print([m for m in ('asyncio', 'aiohttp', 'rich', 'h11', 'msgspec', 'blake3', 'ssl') "
        "if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.endswith("[]\n")


def test_generate_is_exact_and_repeatable(tmp_path: Path) -> None:
    for size in (0, 1, 12345, 1_000_003, 3_000_000):
        path = tmp_path / f"{size}.txt"
        assert run("generate", path, "--size", str(size)).returncode == 0
        assert path.stat().st_size == size
    text = (tmp_path / "3000000.txt").read_bytes()
    assert text[:12345] == (tmp_path / "12345.txt").read_bytes()
    assert text[: 10**6] == text[1_000_003:2_000_003], "the text repeats"
    assert text.isascii()
    assert len(set(re.findall(rb"[A-Za-z]+", text))) > 50
    other = run("generate", tmp_path / "other", "--size", "10KB", "--seed", "9", "--json")
    assert json.loads(other.stdout)["size"] == 10_000
    assert other.stderr == ""
    assert (tmp_path / "other").read_bytes() != text[:10_000]


def test_split_tells_what_it_did(tmp_path: Path) -> None:
    random_file(tmp_path / "f", 5000)
    told = run("split", tmp_path / "f", "--out", tmp_path / "o", "--sha256", "--json")
    found = json.loads(told.stdout)
    assert [f["size"] for f in found["fragments"]] == [1667, 1667, 1666]
    manifest = package.Manifest.from_bytes(Path(found["manifest"]).read_bytes())
    assert manifest.digest == found["digest"]
    import hashlib

    assert manifest.sha256 == hashlib.sha256((tmp_path / "f").read_bytes()).hexdigest()
    human = run("split", tmp_path / "f", "--out", tmp_path / "o", "--force", "--chunk-size", "2KB")
    assert "into 3 fragments" in human.stdout
    assert human.stderr == ""
    assert run("split", tmp_path / "f", "--out", tmp_path / "o2", "-q").stdout == ""


def test_a_new_split_leaves_no_old_fragments(tmp_path: Path) -> None:
    random_file(tmp_path / "f", 5000)
    package.split(tmp_path / "f", tmp_path / "o", fragments=9)
    (tmp_path / "o" / "file_fragment_10.txt").write_bytes(b"mine")
    package.split(tmp_path / "f", tmp_path / "o", fragments=2, force=True)
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == [
        "f.regather.json",
        "file_fragment_1.dat",
        "file_fragment_10.txt",
        "file_fragment_2.dat",
    ]


def test_replicas_never_share_a_server(tmp_path: Path) -> None:
    random_file(tmp_path / "f", 5000)
    at = [f"http://h{n}.example/d" for n in range(4)]
    manifest = package.split(
        tmp_path / "f", tmp_path / "o", fragments=10, servers=4, replicas=3, at=at
    )
    for n in range(1, 11):
        holders = [
            s for s in range(1, 5) if (tmp_path / f"o/server{s}/file_fragment_{n}.dat").exists()
        ]
        assert len(holders) == 3
        assert holders == [
            i + 1 for i, s in enumerate(manifest.sources) if n in (s.fragments or ())
        ]
    for s in range(1, 5):
        copy = (tmp_path / f"o/server{s}/f.regather.json").read_bytes()
        assert copy == (tmp_path / "o/f.regather.json").read_bytes()


def test_info(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    human = run("info", manifest).stdout
    assert "file_fragment_3.dat" in human
    assert "3500000" in human
    found = json.loads(run("info", manifest, "--json").stdout)
    assert [f["offset"] for f in found["fragments"]] == [0, 1166667, 2333334]
    assert found["sets"] == []
    assert {(f["kind"], f["set"]) for f in found["fragments"]} == {("data", None)}
    assert "set" not in human


def test_one_fragment_is_told_as_one(tmp_path: Path) -> None:
    random_file(tmp_path / "f", 100_000)
    at = [f"http://{host}.example/" for host in "ab"]
    package.split(tmp_path / "f", tmp_path / "o", fragments=1, parity=1, servers=2, at=at)
    human = run("info", tmp_path / "o" / "f.regather.json").stdout
    assert ": any 1 of 2 fragments is enough\n" in human
    assert "  http://a.example/  fragment 1\n" in human
    package.split(tmp_path / "f", tmp_path / "p", fragments=1, parity=1, servers=2)
    checked = run("check", tmp_path / "p" / "f.regather.json").stdout
    assert "erasure set 1: 2 of 2 fragments are good, any 1 is enough; " in checked


def test_info_of_a_coded_file(tmp_path: Path) -> None:
    random_file(tmp_path / "f", 100_000)
    package.split(tmp_path / "f", tmp_path / "o", fragments=5, parity=2, set_size=3)
    human = run("info", tmp_path / "o" / "f.regather.json").stdout
    code = "reed-solomon-gf256-11d-vandermonde"
    assert f"set 1   {code}, 3 + 2: any 3 of 5 fragments are enough\n" in human
    assert f"set 2   {code}, 2 + 2: any 2 of 4 fragments are enough\n" in human
    assert "  file_fragment_4.dat  20000 bytes at 60000, data of set 2\n" in human
    assert "  file_parity_1_2.dat  20000 bytes, parity of set 1\n" in human
    found = json.loads(run("info", tmp_path / "o" / "f.regather.json", "--json").stdout)
    assert found["sets"] == [
        {"set": 1, "code": code, "k": 3, "m": 2, "data": [1, 2, 3], "parity": [6, 7], "rows": 1},
        {"set": 2, "code": code, "k": 2, "m": 2, "data": [4, 5], "parity": [8, 9], "rows": 1},
    ]
    assert [(f["kind"], f["set"]) for f in found["fragments"]] == [
        *[("data", 1)] * 3,
        *[("data", 2)] * 2,
        *[("parity", 1)] * 2,
        *[("parity", 2)] * 2,
    ]
    assert [f["offset"] for f in found["fragments"]][4:] == [80_000, None, None, None, None]


def test_get_reports(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / "out" / f"server{n}", faults=["slow:1MB"]).url for n in (1, 2)]
    command = ["get", str(alone(made / "out" / "file.bin.regather.json"))]
    command += [word for url in urls for word in ("--server", url)]
    human = run(*command, "-o", made / "a", progress=True)
    assert "verified" in human.stdout
    assert all(url in human.stdout for url in urls)
    assert re.search(r"^downloading a: \d+ % of 3\.3 MiB, ", human.stderr, re.MULTILINE)
    assert without_progress(human.stderr) == ""
    found = [
        json.loads(line) for line in run(*command, "-o", made / "b", "--json").stdout.splitlines()
    ]
    assert found[-1]["event"] == "done"
    assert found[-1]["size"] == 3_500_000
    assert {s["url"] for s in found[-1]["sources"]} == set(urls)
    assert all(f["event"] == "progress" for f in found[:-1])
    quiet = run(*command, "-o", made / "c", "--quiet")
    assert (quiet.stdout, quiet.stderr) == ("", "")
    assert (made / "a").read_bytes() == (made / "file.bin").read_bytes()


def test_sizes_are_told_in_one_unit(tmp_path: Path) -> None:
    """Whatever unit was asked for, binary and exact is what is told."""
    exact = "976.6 KiB (1000000 bytes)"
    made = run("generate", tmp_path / "f", "--size", "1MB").stdout
    split = run("split", tmp_path / "f", "--out", tmp_path / "o", "--chunk-size", "0.5MB").stdout
    manifest = tmp_path / "o" / "f.regather.json"
    got = run("get", manifest, "-o", tmp_path / "g").stdout
    for told in (made, split, got, run("info", manifest).stdout):
        assert exact in told
        assert not re.search(r"\d [kKMG]B\b", told)


def test_a_resumed_report_tells_what_this_run_fetched(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / "out" / f"server{n}", faults=["slow:1MB"]).url for n in (1, 2)]
    manifest = str(made / "out" / "file.bin.regather.json")
    stop = threading.Event()

    def watch(progress: package.Progress) -> None:
        if progress.done > 1_000_000:
            stop.set()

    with pytest.raises(package.InterruptedDownload):
        package.download(manifest, made / "x", servers=urls, on_progress=watch, stop=stop)
    report = package.download(manifest, made / "x", servers=urls)
    assert report.resumed >= 1_000_000
    assert report.rate == pytest.approx((report.size - report.resumed) / report.seconds)
    told = describe(report).splitlines()[0]
    fetched = format_size(report.size - report.resumed)
    assert told.startswith(f"{made / 'x'}: 3.3 MiB (3500000 bytes), ")
    assert f" were there already, {fetched} fetched now in " in told
    assert told.endswith("/s, verified")


def test_get_from_the_folder_beside_the_manifest(made: Path) -> None:
    """With no server named, a local split is put together again."""
    told = run("get", "out/file.bin.regather.json", "-o", "again.bin", cwd=made)
    assert told.returncode == 0, told.stderr
    assert (made / "again.bin").read_bytes() == (made / "file.bin").read_bytes()


def test_get_takes_a_folder_as_destination_and_as_server(made: Path) -> None:
    (made / "into").mkdir()
    servers = ("--server", made / "out" / "server1", "--server", made / "out" / "server2")
    assert (
        run("get", made / "out/file.bin.regather.json", *servers, "-o", made / "into").returncode
        == 0
    )
    assert (made / "into" / "file.bin").read_bytes() == (made / "file.bin").read_bytes()


def test_plain_fragments_by_address_and_port(made: Path, hosting: Hosting) -> None:
    files = [next((made / "out").rglob(f"file_fragment_{n}.dat")) for n in (1, 2, 3)]
    servers = [hosting.serve(path) for path in files]  # one fragment a server and port
    fragments = [
        word
        for server, path in zip(servers, files, strict=True)
        for word in ("--fragment", f"127.0.0.1:{server.port}/{path.name}")
    ]
    told = run("get", *fragments, cwd=made)
    assert told.returncode == 0, told.stderr
    assert "NOT verified" in told.stderr
    assert "NOT verified" in told.stdout
    content = (made / "recombined_large_file.dat").read_bytes()
    assert content == (made / "file.bin").read_bytes()


def test_limit_rate(made: Path, hosting: Hosting) -> None:
    url = hosting.serve(made / "out" / "server1").url
    other = hosting.serve(made / "out" / "server2").url
    began = time.monotonic()
    told = run(
        "get", made / "out/file.bin.regather.json", "--server", url, "--server", other,
        "-o", made / "x", "--limit-rate", "2MB",
    )  # fmt: skip
    assert told.returncode == 0
    assert time.monotonic() - began >= 1.6


def test_cluster_says_how_to_get(made: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "regather", "cluster", str(made / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    ready = lines[3].split()
    assert ready[:2] == ["regather", "get"]
    told = run(*ready[1:], "-o", made / "copy")
    assert told.returncode == 0, told.stderr
    assert (made / "copy").read_bytes() == (made / "file.bin").read_bytes()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_demo(tmp_path: Path, seed: str) -> None:
    told = run("demo", "--size", "60MB", "--rate", "20MB", "--seed", seed, "--dir", tmp_path)
    assert told.returncode == 0, told.stderr
    assert "Identical, byte for byte" in told.stdout
    assert told.stdout.count("was killed at") == 2
    assert list(tmp_path.iterdir()) == []


def test_demo_needs_space(tmp_path: Path) -> None:
    told = run("demo", "--size", "500TB", "--dir", tmp_path)
    assert told.returncode == 1
    assert "are needed" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_get_says_whom_it_waits_for(made: Path) -> None:
    """Nobody listens: that is told with the first failure, not with the last."""
    url = f"127.0.0.1:{free_port()}"
    manifest = alone(made / "out" / "file.bin.regather.json")
    for source in (
        (manifest, "--server", url),
        ("--fragment", f"{url}/f", "--fragment", f"{url}/g"),
    ):
        told = run("get", *source, "-o", made / "x", "--retries", "2", progress=True)
        assert told.returncode == 4
        waits = [line for line in told.stderr.splitlines() if line.startswith("waiting")]
        pattern = rf"waiting for {url} \(connection refused\), retry [12] of 2"
        assert 1 <= len(waits) <= 2, "one line a host and retry, however many fragments"
        assert all(re.fullmatch(pattern, line) for line in waits)
        assert without_progress(told.stderr).startswith("regather: ")
        assert "NOT verified" not in told.stderr
        quiet = run("get", *source, "-o", made / "x", "--retries", "1", "--quiet")
        assert not any(line.startswith("waiting") for line in quiet.stderr.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_the_very_end_changes_nothing(number: signal.Signals) -> None:
    """All is told then: no other exit code, and no traceback."""
    code = (
        "import atexit, os, sys; from regather.cli import run; "
        f"atexit.register(os.kill, os.getpid(), {int(number)}); "
        "sys.argv[1:] = ['--version']; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_one_of_anything_is_told_as_one(tmp_path: Path) -> None:
    """No plural where there is one: of fragments, targets, servers, errors, bytes and copies."""
    file, out = tmp_path / "f", tmp_path / "o"
    file.write_bytes(b"x")
    manifest = out / "f.regather.json"
    told = [run("split", file, "--out", out, "--servers", "1")]
    told += [run("info", manifest), run("check", manifest, "--read-data")]
    (out / "server1" / "file_fragment_1.dat").write_bytes(b"yy")
    told += [run("check", manifest, "--read-data"), run("get", manifest, "-o", tmp_path / "x")]
    told += [run("publish", file, "--to", tmp_path / "p")]
    (tmp_path / "p" / "file_fragment_1.dat").unlink()
    told += [run("repair", tmp_path / "p" / "f.regather.json", "--server", tmp_path / "p")]
    told += [run("publish", file, "--to", tmp_path / "two", "--replicas", "2")]
    told += [run("split", file, "--out", tmp_path / "3", "--servers", "1", "--replicas", "2")]
    told += [run("get", "--fragment", tmp_path / "none", "-o", tmp_path / "x")]
    text = "\n".join(one.stdout + one.stderr for one in told)
    assert "into 1 fragment in 1 server folder," in text
    assert "  1 byte at 0" in text
    assert "of 1 fragment " in text
    assert "to 1 target," in text
    assert "cannot get 1 of 1 fragment" in text
    nouns = "fragment|target|server|error|byte|cop(?:y|ie)|lost source|piece|file|folder"
    assert not re.findall(rf"\b1 (?:more |lost )*(?:{nouns})s\b.*", text)
