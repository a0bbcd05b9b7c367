"""Folders over real servers: published, got in spite of failures, looked after."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import threading
import urllib.request
from pathlib import Path

import pytest

import regather
from regather.server.authorization import Tokens
from regather.server.run import Server
from tests.support.files import MIB, without_progress
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, wait_until
from tests.support.trees import make_tree, told

SECRET = "write-secret"
SETTINGS = regather.Settings(
    retries=2, timeout=2, connect_timeout=2, tokens={"127.0.0.1": SECRET}, sync=False
)
NAME = "tree.regather.json"


class Hosts:
    """Servers that take files, and a tree."""

    def __init__(self, root: Path, hosting: Hosting, count: int, **sizes: int) -> None:
        self.root = root
        self.tree = make_tree(root / "tree", **sizes)
        self.hosting = hosting
        self.servers = [self.serve(n) for n in range(count)]
        (root / "token").write_text(SECRET)
        (root / "token").chmod(0o600)

    def serve(self, number: int, *faults: str, port: int = 0) -> Server:
        (self.root / f"host{number}").mkdir(exist_ok=True)
        folder = self.root / f"host{number}"
        return self.hosting.serve(folder, tokens=Tokens(write=SECRET), faults=faults, port=port)

    @property
    def urls(self) -> list[str]:
        return [server.url for server in self.servers]

    def slow(self, rate: str) -> None:
        """Serve the same at the same addresses, slowly."""
        for number, server in enumerate(self.servers):
            self.hosting.kill(server)
            self.servers[number] = self.serve(number, f"slow:{rate}", port=server.port)

    def sent(self) -> int:
        """Bytes that all of them have sent."""
        total = 0
        for server in self.servers:
            with urllib.request.urlopen(f"{server.url}-/health", timeout=PATIENCE) as answer:
                total += json.load(answer)["bytes_sent"]
        return total

    def publish(self, **options: int) -> regather.PublishReport:
        return regather.publish(self.tree, self.urls, settings=SETTINGS, **options)  # type: ignore[arg-type]

    def command(self, dest: Path, *words: str) -> list[str]:
        manifest = self.urls[0] + NAME
        return [sys.executable, "-m", "regather", "get", manifest, "-o", str(dest), *words]


def test_two_of_five_servers_die_in_the_middle(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 5, large=8 * MIB)
    report = hosts.publish(parity=2)
    assert (report.survives, report.warnings) == (2, ())
    assert report.manifests == tuple(url + NAME for url in hosts.urls)
    hosts.slow("5MB")
    left = [3, 1]
    data = hosts.urls[1]
    (held,) = (tmp_path / "host1").glob("*.dat")

    def watch(progress: regather.Progress) -> None:
        if left and progress.done >= progress.size * (3 - len(left)) / 8:
            hosting.kill(hosts.servers.pop(left.pop(0)))

    got = regather.download(
        report.manifests[0],
        tmp_path / "dest",
        digest=report.digest,
        settings=SETTINGS,
        on_progress=watch,
    )
    assert left == []
    # On a busy machine it may have sent all that it had before it was killed.
    (sent,) = (source.received for source in got.sources if source.url == data)
    assert got.decoded or sent >= held.stat().st_size
    assert told(tmp_path / "dest") == told(hosts.tree)


def test_killed_again_and_again(tmp_path: Path, hosting: Hosting) -> None:
    """What is fetched in all is the folder and at most a piece a connection and kill."""
    hosts = Hosts(tmp_path, hosting, 3, large=8 * MIB, small=300)
    report = hosts.publish(survive=0)
    hosts.slow("2MB")
    before = hosts.sent()
    dest = tmp_path / "dest"
    command = hosts.command(dest, "--connections", "1", "--quiet")
    rng = random.Random(3)
    kills = 0
    while kills < 4:
        client = subprocess.Popen(command)
        enough = hosts.sent() + rng.randrange(3 * MIB)
        wait_until(
            lambda e=enough, c=client: hosts.sent() > e or c.poll() is not None,  # type: ignore[misc]
            what="bytes under way",
        )
        if client.poll() is not None:
            break
        client.kill()
        client.wait()
        kills += 1
        assert not dest.exists() or os.listdir(dest) in ([], [".regather-part"])
    assert kills >= 2, "the download ended too early for this test to mean anything"
    last = subprocess.run(
        [*command[:-1], "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert last.returncode == 0, last.stderr
    done = json.loads(last.stdout.splitlines()[-1])
    assert (done["event"], done["files"], done["digest"]) == ("done", 306, report.digest)
    assert told(dest) == told(hosts.tree)
    manifest = (hosts.root / "host0" / NAME).stat().st_size * (kills + 1)
    assert hosts.sent() - before <= report.size + kills * 3 * MIB + manifest


def test_interrupted(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 2, large=6 * MIB)
    hosts.publish(survive=0)
    hosts.slow("1MB")
    dest = tmp_path / "dest"
    client = subprocess.Popen(
        hosts.command(dest, "--quiet"), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    journal = dest / ".regather-part" / "journal"
    wait_until(lambda: journal.exists() and any(journal.read_bytes()[128:]))
    client.send_signal(signal.SIGINT)
    _, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 130
    assert f"kept in {dest}/.regather-part" in errors
    assert without_progress(errors).count("\n") == 1
    hosts.slow("100MB")
    again = subprocess.run(
        hosts.command(dest), capture_output=True, text=True, timeout=60, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "46 files" in again.stdout
    assert "were there already" in again.stdout
    assert told(dest) == told(hosts.tree)


def test_published_by_command_again_checked_and_repaired(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 3, large=MIB)
    words = [word for url in hosts.urls for word in ("--to", url)]
    words += ["--token", f"127.0.0.1={tmp_path / 'token'}"]
    first = run("publish", f"{hosts.tree}/", *words, "--parity", "1", "--json")
    assert first.returncode == 0, first.stderr
    again = run("publish", hosts.tree, *words, "--parity", "1", "--json")
    assert again.returncode == 0, again.stderr
    reports = [json.loads(told.stdout) for told in (first, again)]
    assert reports[1]["uploaded"] == 0
    assert reports[1]["digest"] == reports[0]["digest"]
    manifest = reports[0]["manifests"][0]
    info = run("info", manifest, "--files")
    assert "folder  46 files" in info.stdout
    assert "latest -> deep/er" in info.stdout
    document = json.loads(run("info", manifest, "--files", "--json").stdout)
    assert document["folder"]["files"] == 46
    assert len(document["folder"]["entries"]) == 46 + 4 + 3
    assert regather.check(manifest, read_data=1.0).status == "healthy"
    (tmp_path / "host1" / "file_fragment_2.dat").unlink()
    assert regather.check(manifest).status == "degraded"
    before = regather.Manifest.from_bytes((tmp_path / "host0" / NAME).read_bytes())
    repaired = run("repair", manifest, *words[-2:])
    assert repaired.returncode == 0, repaired.stderr
    assert regather.check(manifest, read_data=1.0).status == "healthy"
    after = regather.Manifest.from_bytes((tmp_path / "host2" / NAME).read_bytes())
    assert (after.folder, after.digest) == (before.folder, reports[0]["digest"])
    got = run("get", manifest, "-o", tmp_path / "dest", "--digest", before.digest)
    assert got.returncode == 0, got.stderr
    assert told(tmp_path / "dest") == told(hosts.tree)


def test_publishing_goes_on_after_a_kill(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 3, large=6 * MIB)
    words = [word for url in hosts.urls for word in ("--to", url)]
    words += ["--token", f"127.0.0.1={tmp_path / 'token'}", "--parity", "1", "--set-size", "2"]
    words += ["--fragments", "4", "--json"]
    slowly = ["--limit-rate", "4MB"]
    first = subprocess.Popen(
        [sys.executable, "-m", "regather", "publish", str(hosts.tree), *words, *slowly],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: bool(list(tmp_path.glob("host*/*.dat"))), what="a fragment at a server")
    first.kill()
    first.wait()
    assert not list(tmp_path.glob(f"host*/{NAME}"))
    again = run("publish", hosts.tree, *words)
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report["present"] > 0
    assert (report["files"], report["survives"]) == (46, 1)
    regather.download(report["manifests"][0], tmp_path / "dest", settings=SETTINGS)
    assert told(tmp_path / "dest") == told(hosts.tree)


def test_another_folder_in_the_way(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 2, large=1000, small=2)
    hosts.publish(survive=0)
    (hosts.tree / "a.bin").write_bytes(b"another version")
    with pytest.raises(
        regather.DestinationExistsError, match="another version of tree exists there"
    ):
        hosts.publish(survive=0)
    report = regather.publish(hosts.tree, hosts.urls, survive=0, force=True, settings=SETTINGS)
    regather.download(report.manifests[0], tmp_path / "dest", settings=SETTINGS)
    assert told(tmp_path / "dest") == told(hosts.tree)


def test_the_digest_pins_names_and_modes(tmp_path: Path, hosting: Hosting) -> None:
    """Whoever can write to the servers cannot rename a file or make one executable."""
    hosts = Hosts(tmp_path, hosting, 1, large=1000, small=2)
    report = hosts.publish(survive=0)
    path = tmp_path / "host0" / NAME
    value = json.loads(path.read_bytes())
    value["folder"]["entries"][0]["mode"] = "777"
    entries = tuple(regather.FolderEntry(**entry) for entry in value["folder"]["entries"])
    value["folder"]["digest"] = regather.Folder(entries).identity(value["digest"])
    path.write_text(json.dumps(value))
    told = run("get", report.manifests[0], "-o", tmp_path / "dest", "--digest", report.digest)
    assert told.returncode == 3
    assert not (tmp_path / "dest").exists()


def test_among_many_downloads(tmp_path: Path, hosting: Hosting) -> None:
    """In a list, a folder goes below the one that is named, by its own name or the one given."""
    hosts = Hosts(tmp_path, hosting, 2, large=1000, small=2)
    hosts.publish(survive=0)
    (tmp_path / "host1" / "plain.txt").write_text("a plain file")
    manifest = hosts.urls[0] + NAME
    (tmp_path / "list").write_text(
        f"{manifest}\n{hosts.urls[1]}plain.txt\n{manifest}\n  out=other\n"
    )
    (tmp_path / "down").mkdir()
    for _ in range(2):
        done = run("get", "-i", tmp_path / "list", "-o", tmp_path / "down")
        assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "down")) == ["other", "plain.txt", "tree"]
    for name in ("other", "tree"):
        assert told(tmp_path / "down" / name) == told(hosts.tree)


def test_read_in_place(tmp_path: Path, hosting: Hosting) -> None:
    """What is hosted is a tar: single files of it are read from afar."""
    hosts = Hosts(tmp_path, hosting, 2, large=3 * MIB)
    report = hosts.publish(survive=0)
    with (
        regather.open(report.manifests[0]) as packed,
        tarfile.open(fileobj=packed, mode="r:") as tar,
    ):
        member = tar.extractfile("tree/deep/er/b.bin")
        assert member is not None
        assert member.read() == (hosts.tree / "deep" / "er" / "b.bin").read_bytes()


# -- some of the files ------------------------------------------------------------------------


def part_of(hosts: Hosts, *names: str) -> dict[str, object]:
    """What the tree has of these."""
    return {path: what for path, what in told(hosts.tree).items() if path in names}


def test_only_what_is_chosen(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 3, large=6 * MIB)
    report = hosts.publish(parity=1)
    dest = tmp_path / "dest"
    seen: list[tuple[int, int]] = []
    got = regather.download(
        report.manifests[0],
        dest,
        select="deep/er/b.bin",
        settings=SETTINGS,
        on_progress=lambda p: seen.append((p.done, p.size)),
    )
    assert told(dest) == part_of(hosts, "deep", "deep/er", "deep/er/b.bin")
    assert got.files == 1
    assert 3 * MIB < got.size == got.received <= 5 * MIB
    assert seen[-1] == (got.size, got.size)
    again = run("get", report.manifests[0], "-o", dest, "--select", "deep/er", "--select", "l*")
    assert again.returncode == 0, again.stderr
    names = ("deep", "deep/er", "deep/er/b.bin", "deep/er/still", "deep/er/up", "latest")
    assert told(dest) == part_of(hosts, *names)
    assert "1 file, " in again.stdout
    rest = regather.download(report.manifests[0], dest, settings=SETTINGS)
    assert rest.received <= report.size - 2 * MIB
    assert told(dest) == told(hosts.tree)


@pytest.mark.parametrize("lost", [0, 1])
def test_what_is_chosen_comes_from_parity_too(tmp_path: Path, hosting: Hosting, lost: int) -> None:
    """Then what nobody wants is fetched after all, but never gets a name."""
    hosts = Hosts(tmp_path, hosting, 3, large=6 * MIB)
    report = hosts.publish(parity=1)
    hosting.kill(hosts.servers[lost])
    dest = tmp_path / "dest"
    for select in (["a.bin"], ["a.bin", "deep/secret"]):
        got = regather.download(report.manifests[1 - lost], dest, select=select, settings=SETTINGS)
        assert told(dest) == part_of(
            hosts, "a.bin", *["deep", "deep/secret"][: 2 * len(select) - 2]
        )
    assert got.files == 2
    del hosts.servers[lost]


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_of_what_is_not_chosen_only_rows_are_fetched(
    tmp_path: Path, hosting: Hosting, lost: int
) -> None:
    """In one pass: a dead server costs the rest of the rows that it has a part of, no more."""
    hosts = Hosts(tmp_path, hosting, 4, large=12 * MIB)
    report = hosts.publish(parity=1)
    hosting.kill(hosts.servers[lost])
    seen: list[tuple[int, int]] = []

    def watch(progress: regather.Progress) -> None:
        if progress.phase != "asking":  # then nobody knows what is wanted
            seen.append((progress.done, progress.size))

    got = regather.download(
        report.manifests[3],
        tmp_path / "dest",
        select="deep/secret",
        settings=SETTINGS,
        on_progress=watch,
    )
    assert told(tmp_path / "dest") == part_of(hosts, "deep", "deep/secret")
    assert {size for _, size in seen} == {got.size}, "what is wanted does not change"
    assert got.size <= 2 * MIB
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == got.size
    assert got.received <= 6 * MIB, "more than two rows"
    assert got.decoded == (got.received > got.size)
    del hosts.servers[lost]


def test_a_choice_is_resumed(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 2, large=8 * MIB)
    report = hosts.publish(survive=0)
    hosts.slow("4MB")
    dest = tmp_path / "dest"
    stop = threading.Event()

    def watch(progress: regather.Progress) -> None:
        if progress.done > 2 * MIB:
            stop.set()

    with pytest.raises(regather.InterruptedDownload, match=r"MiB of [89]\.. MiB kept"):
        regather.download(
            report.manifests[0],
            dest,
            select="a.bin",
            settings=SETTINGS,
            on_progress=watch,
            stop=stop,
        )
    got = regather.download(report.manifests[0], dest, select=["a.bin"], settings=SETTINGS)
    assert got.resumed >= 2 * MIB
    assert got.resumed + got.received == got.size
    assert told(dest) == part_of(hosts, "a.bin")


def test_choices_that_mean_nothing(tmp_path: Path, hosting: Hosting) -> None:
    hosts = Hosts(tmp_path, hosting, 2, large=1000, small=2)
    report = hosts.publish(survive=0)
    done = run("get", report.manifests[0], "-o", tmp_path / "dest", "--select", "no\x1bthing")
    assert done.returncode == 2
    assert "the folder contains no 'no\\x1bthing'" in done.stderr
    (tmp_path / "host0" / "plain").write_text("x")
    for source in (hosts.urls[0] + "plain", str(tmp_path / "token")):
        done = run("get", source, "-o", tmp_path / "dest", "--select", "x")
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "dest").exists()
