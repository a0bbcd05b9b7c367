"""Servers and clients that fail: the identical file, or the right error and a way to go on."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

import regather
from regather.cluster import Cluster, server_folders
from regather.server.run import Server
from tests.support.files import MIB, alone, leftovers, random_file
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, wait_until
from tests.support.nginx import Nginx, needs_nginx

SIZE = 24 * MIB + 12345


@dataclass
class Split:
    original: Path
    single: Path
    """Three servers, no replicas."""
    double: Path
    """Three servers, two replicas."""
    content: bytes

    def manifest(self, out: Path) -> str:
        return str(alone(out / "original.bin.regather.json"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("made")
    original = random_file(folder / "original.bin", SIZE)
    regather.split(original, folder / "single", servers=3)
    regather.split(original, folder / "double", servers=3, replicas=2)
    return Split(original, folder / "single", folder / "double", original.read_bytes())


QUICK = regather.Settings(timeout=0.6, connect_timeout=2, retries=6, sync=False)


# -- a server is killed -----------------------------------------------------------------------


@pytest.mark.parametrize("victim", [0, 1, 2])
@pytest.mark.parametrize("moment", [0.0, 0.2, 0.5, 0.8, 0.99])
def test_any_server_killed_at_any_moment(
    made: Split, hosting: Hosting, tmp_path: Path, victim: int, moment: float
) -> None:
    servers = [
        hosting.serve(made.double / f"server{n + 1}", faults=["slow:40MB"]) for n in range(3)
    ]
    killed = threading.Event()

    def watch(progress: regather.Progress) -> None:
        if progress.done >= moment * progress.size and not killed.is_set():
            killed.set()
            hosting.kill(servers[victim])

    report = regather.download(
        made.manifest(made.double),
        tmp_path / "got",
        servers=[s.url for s in servers],
        settings=QUICK,
        on_progress=watch,
    )
    assert (tmp_path / "got").read_bytes() == made.content
    assert report.received <= SIZE + 12 * MIB
    assert leftovers(tmp_path) == []


def test_gone_for_good_then_back(made: Split, hosting: Hosting, tmp_path: Path) -> None:
    """Exit code 4 with what is missing and where it was expected; then the same command ends."""
    servers = [hosting.serve(made.single / f"server{n + 1}") for n in range(2)]
    third = hosting.serve(made.single / "server3", faults=["slow:1MB"])
    port = third.port
    urls = [s.url for s in servers] + [third.url]
    command = [made.manifest(made.single), "-o", str(tmp_path / "got"), "--json"]
    command += [word for url in urls for word in ("--server", url)]
    command += ["--retries", "1", "--timeout", "1"]

    def kill_in_mid_body() -> None:
        wait_until(lambda: sent_by(third) > 100_000, what="a body under way")
        hosting.kill(third)

    killer = threading.Thread(target=kill_in_mid_body)
    killer.start()
    first = run_get(*command)
    killer.join()
    assert first.returncode == 4, first.stderr
    assert "1 of 3 fragments" in first.stderr
    assert "(file_fragment_3.dat)" in first.stderr
    assert third.url in first.stderr
    assert "the same command resumes" in first.stderr
    assert not (tmp_path / "got").exists()
    assert len(leftovers(tmp_path)) == 2
    hosting.serve(made.single / "server3", port=port)
    second = run_get(*command)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "got").read_bytes() == made.content
    reports = [json.loads(line) for line in second.stdout.splitlines()]
    done = reports[-1]
    assert done["resumed"] >= 2 * (SIZE // 3)
    assert done["resumed"] + done["received"] == SIZE


def sent_by(*servers: Server) -> int:
    """Bytes of bodies that servers have sent."""
    sent = 0
    for server in servers:
        with urllib.request.urlopen(f"{server.url}-/health", timeout=PATIENCE) as answer:
            sent += json.load(answer)["bytes_sent"]
    return sent


async def kill_after(client: subprocess.Popen[bytes], servers: list[Server], sent: int) -> None:
    """Kill a client once the servers, which run in this thread, have sent so many bytes in all."""
    while client.poll() is None and sum(s._state.bytes_sent for s in servers) <= sent:
        await asyncio.sleep(0.002)
    client.kill()


def run_get(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "regather", "get", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


# -- the client is killed ---------------------------------------------------------------------


@pytest.mark.timeout(600)
def test_client_killed_twenty_times(made: Split, hosting: Hosting, tmp_path: Path) -> None:
    """What is fetched again is at most one piece a connection and kill, as the servers count."""
    servers = [hosting.serve(made.single / f"server{n + 1}", faults=["slow:1MB"]) for n in range(3)]
    command = [sys.executable, "-m", "regather", "get", made.manifest(made.single)]
    command += ["-o", str(tmp_path / "got"), "--quiet", "--connections", "1"]
    command += [word for s in servers for word in ("--server", s.url)]
    rng = random.Random(11)
    kills = 0
    while kills < 20:
        # Counted in what was sent, not in time: clients start sooner or later. And by the thread
        # that sends: it sends no more meanwhile, however late it is.
        enough = sent_by(*servers) + rng.randrange(2 * MIB)
        client = subprocess.Popen(command)
        hosting.run(kill_after(client, servers, enough))
        if client.wait(PATIENCE) != -signal.SIGKILL:
            break
        kills += 1
        assert not (tmp_path / "got").exists()
    last = subprocess.run(
        [arg for arg in command if arg != "--quiet"] + ["--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert kills >= 10, "the download ended too early for this test to mean anything"
    assert last.returncode == 0, last.stderr
    assert (tmp_path / "got").read_bytes() == made.content
    assert leftovers(tmp_path) == []
    assert SIZE <= sent_by(*servers) <= SIZE + kills * 3 * MIB


def test_refetched_after_kills_is_bounded(made: Split, hosting: Hosting, tmp_path: Path) -> None:
    """Stopped six times: what comes in all is the file and at most a piece a connection each."""
    servers = [hosting.serve(made.single / f"server{n + 1}", faults=["slow:4MB"]) for n in range(3)]
    urls = [s.url for s in servers]
    total = 0
    kills = 0
    for n in range(6):
        stop = threading.Event()

        def watch(progress: regather.Progress, n: int = n, stop: threading.Event = stop) -> None:
            nonlocal total
            if progress.done > (n + 1) * SIZE // 16 and not stop.is_set():
                total += sum(s.received for s in progress.sources)
                stop.set()

        with pytest.raises(regather.InterruptedDownload, match="kept in"):
            regather.download(
                made.manifest(made.single),
                tmp_path / "got",
                servers=urls,
                on_progress=watch,
                stop=stop,
                settings=regather.Settings(connections=2),
            )
        kills += 1
    report = regather.download(made.manifest(made.single), tmp_path / "got", servers=urls)
    assert (tmp_path / "got").read_bytes() == made.content
    assert total + report.received <= SIZE + kills * 6 * MIB


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_end_is_resumable(
    made: Split, hosting: Hosting, tmp_path: Path, number: signal.Signals
) -> None:
    server = hosting.serve(made.original, faults=["slow:8MB"])
    out = tmp_path / "out"
    regather.split(made.original, out, fragments=1)
    server = hosting.serve(out, faults=["slow:8MB"])
    command = [str(alone(out / "original.bin.regather.json")), "-o", str(tmp_path / "got")]
    command += ["--server", server.url]
    # A shell starts background jobs with SIGINT ignored: SIGTERM must work all the same.
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if number == signal.SIGTERM else []
    client = subprocess.Popen(
        [*background, sys.executable, "-m", "regather", "get", *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(
        lambda: any(tmp_path.glob("got.regather-part-journal")) or client.poll() is not None,
        timeout=60,
        what="the download under way",
    )
    client.send_signal(number)
    _, told = client.communicate(timeout=PATIENCE)
    assert client.returncode == 130
    assert "Traceback" not in told
    assert "the same command resumes" in told
    assert run_get(*command).returncode == 0
    assert (tmp_path / "got").read_bytes() == made.content


# -- resume state -----------------------------------------------------------------------------


@pytest.fixture
def partial(made: Split, hosting: Hosting, tmp_path: Path) -> tuple[Path, list[str]]:
    """A download that was stopped about half-way, with a second to do so."""
    urls = [hosting.serve(made.single / f"server{n + 1}").url for n in range(3)]
    slowly = regather.Settings(limit_rate=10 * MIB)
    stop = threading.Event()

    def watch(progress: regather.Progress) -> None:
        if progress.done > SIZE // 2:
            stop.set()

    with pytest.raises(regather.InterruptedDownload):
        regather.download(
            made.manifest(made.single),
            tmp_path / "got",
            servers=urls,
            on_progress=watch,
            stop=stop,
            settings=slowly,
        )
    return tmp_path, urls


def damage_nothing(folder: Path) -> None:
    pass


def damage_journal(folder: Path) -> None:
    os.truncate(folder / "got.regather-part-journal", 0)


def damage_journal_header(folder: Path) -> None:
    with (folder / "got.regather-part-journal").open("r+b") as file:
        file.write(b"x")


def damage_part_lost(folder: Path) -> None:
    (folder / "got.regather-part").unlink()


def damage_part_short(folder: Path) -> None:
    os.truncate(folder / "got.regather-part", MIB)


def damage_part_zeroed(folder: Path) -> None:
    """As after a power failure: the journal is there, the bytes are not."""
    os.truncate(folder / "got.regather-part", 0)
    os.truncate(folder / "got.regather-part", SIZE)


def damage_one_bit(folder: Path) -> None:
    with (folder / "got.regather-part").open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize(
    "damage",
    [
        damage_nothing,
        damage_journal,
        damage_journal_header,
        damage_part_lost,
        damage_part_short,
        damage_part_zeroed,
        damage_one_bit,
    ],
)
def test_resume_trusts_nothing(
    made: Split,
    partial: tuple[Path, list[str]],
    damage: object,
) -> None:
    folder, urls = partial
    damage(folder)  # type: ignore[operator]
    report = regather.download(made.manifest(made.single), folder / "got", servers=urls)
    assert (folder / "got").read_bytes() == made.content
    assert leftovers(folder) == []
    if damage is damage_nothing:
        assert report.resumed >= SIZE // 2 - 12 * MIB
        assert report.resumed + report.received == SIZE


def test_two_downloads_to_one_place(made: Split, partial: tuple[Path, list[str]]) -> None:
    folder, urls = partial
    failed: list[BaseException] = []
    first_is_on = threading.Event()

    def second() -> None:
        first_is_on.wait(PATIENCE)
        try:
            regather.download(made.manifest(made.single), folder / "got", servers=urls)
        except regather.RegatherError as error:
            failed.append(error)

    thread = threading.Thread(target=second)
    thread.start()

    def watch(progress: regather.Progress) -> None:
        first_is_on.set()
        thread.join(PATIENCE)

    regather.download(made.manifest(made.single), folder / "got", servers=urls, on_progress=watch)
    thread.join()
    assert len(failed) == 1
    assert "another process" in str(failed[0])
    assert (folder / "got").read_bytes() == made.content


# -- faults on purpose ------------------------------------------------------------------------

KINDS = {
    "refuse": ["refuse@0.3"],
    "error": ["error:503@0.3"],
    "error-500": ["error:500@0.3"],
    "reset": ["reset@0.3"],
    "stall": ["stall@0.15"],
    "slow": ["slow:30MB@0.5"],
    "truncate": ["truncate@0.3"],
    "corrupt": ["corrupt@0.3"],
    "all": [
        "refuse@0.05", "error:503@0.05", "reset@0.05", "stall@0.03", "slow:60MB", "truncate@0.05",
        "corrupt@0.03",
    ],
}  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", KINDS)
def test_every_fault(made: Split, hosting: Hosting, tmp_path: Path, kind: str, seed: int) -> None:
    """Two of three servers fail at random, with two replicas: the file, or a clear failure."""
    urls = [
        hosting.serve(
            made.double / f"server{n + 1}", faults=KINDS[kind] if n < 2 else (), seed=seed * 3 + n
        ).url
        for n in range(3)
    ]
    began = time.monotonic()
    try:
        regather.download(
            made.manifest(made.double), tmp_path / "got", servers=urls, settings=QUICK
        )
    except (regather.NotEnoughSourcesError, regather.VerificationError) as error:
        told = "\n".join(error.details)
    else:
        told = ""
    assert time.monotonic() - began < 150, "bounded by the time-outs"
    if told:
        # Fragment 1 stands on the two failing servers only.
        assert [line.partition(":")[0] for line in told.splitlines()] == ["file_fragment_1.dat"]
        assert not (tmp_path / "got").exists()
        assert len(leftovers(tmp_path)) == 2
    else:
        assert (tmp_path / "got").read_bytes() == made.content
        assert leftovers(tmp_path) == []


@pytest.mark.parametrize("seed", range(8))
def test_servers_that_die(made: Split, tmp_path: Path, seed: int) -> None:
    """Real processes that exit on their own; one stays, and holds all but one fragment."""
    rng = random.Random(seed)
    faults = [["--fault", f"die@{rng.choice(['0.2', '0.5'])}", "--fault-seed", str(seed)], [], []]
    rng.shuffle(faults)
    with Cluster(server_folders(made.double), arguments=faults) as cluster:
        regather.download(
            made.manifest(made.double), tmp_path / "got", servers=cluster.urls, settings=QUICK
        )
    assert (tmp_path / "got").read_bytes() == made.content


# -- stock servers ----------------------------------------------------------------------------


@needs_nginx
def test_stock_nginx(made: Split, tmp_path: Path) -> None:
    folders = [made.double / f"server{n + 1}" for n in range(3)]
    with Nginx(folders[0]) as a, Nginx(folders[1]) as b, Nginx(folders[2]) as c:
        report = regather.download(
            made.manifest(made.double), tmp_path / "got", servers=[a.url, b.url, c.url]
        )
        # By URL the manifest's own folder is one of the sources.
        regather.download(
            f"{a.url}original.bin.regather.json", tmp_path / "got2", servers=[b.url, c.url]
        )
    assert (tmp_path / "got").read_bytes() == (tmp_path / "got2").read_bytes() == made.content
    assert all(s.useful for s in report.sources)
    assert all(s.errors == 0 for s in report.sources)


def test_stock_http_server_that_ignores_ranges(made: Split, tmp_path: Path) -> None:
    processes: list[subprocess.Popen[str]] = []
    urls: list[str] = []
    try:
        for n in range(3):
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
                cwd=made.double / f"server{n + 1}",
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            processes.append(process)
            assert process.stdout is not None
            line = process.stdout.readline()  # Serving HTTP on 127.0.0.1 port N (http://...) ...
            urls.append(f"http://127.0.0.1:{line.split(' port ')[1].split()[0]}/")
        report = regather.download(made.manifest(made.double), tmp_path / "got", servers=urls)
        assert (tmp_path / "got").read_bytes() == made.content
        assert report.received < 3 * SIZE
        # The plain client: a list of addresses, ports and fragments.
        fragments = [
            f"{urls[n]}file_fragment_{n + 1}.dat".removeprefix("http://") for n in range(3)
        ]
        plain = regather.download(fragments=fragments, dest=tmp_path / "plain")
        assert not plain.verified
        assert (tmp_path / "plain").read_bytes() == made.content
    finally:
        for process in processes:
            process.terminate()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
