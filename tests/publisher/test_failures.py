"""Targets that are down, full, closed or taken; and publishing that is killed."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

import regather
from regather.errors import DestinationExistsError, NotPlacedError, RegatherError, UsageError
from regather.files.atomic import PREFIX
from regather.server.authorization import Tokens
from regather.server.writing import Limits
from tests.publisher.support import SECRET, SETTINGS, Cloud, make_cloud
from tests.support.files import random_file, started
from tests.support.files import regather as run
from tests.support.foreign import foreign
from tests.support.hosting import Hosting
from tests.support.net import free_port, wait_until
from tests.support.rogue import Rogue, sends
from tests.support.tls import issue

NAME = "file.bin.regather.json"


@pytest.fixture
def token(tmp_path: Path) -> str:
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0o600)
    return f"127.0.0.1={path}"


def manifests(cloud: Cloud) -> list[int]:
    return [n for n in range(len(cloud.servers)) if NAME in cloud.names(n)]


def command(cloud: Cloud, token: str, *more: str) -> list[str]:
    words = ["publish", str(cloud.file), "--token", token, "--retries", "1", *more]
    return words + [word for url in cloud.urls for word in ("--to", url)]


def test_a_server_that_is_down_from_the_start(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 6)
    cloud.kill(2)
    with pytest.raises(NotPlacedError) as caught:
        regather.publish(cloud.file, cloud.urls, parity=2, settings=SETTINGS)
    assert caught.value.missing == ("file_fragment_3.dat",)
    assert caught.value.exit_code == 1
    assert "1 of 6 fragments could not be stored" in str(caught.value)
    assert "the same command resumes" in str(caught.value)
    assert any(cloud.urls[2] in line for line in caught.value.details)
    assert manifests(cloud) == []
    cloud.revive(2)
    report = regather.publish(cloud.file, cloud.urls, parity=2, settings=SETTINGS)
    assert report.uploaded == (cloud.folder(2) / "file_fragment_3.dat").stat().st_size
    assert report.survives == 2
    cloud.check(report)


def test_a_spare_server_takes_the_place(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 4)
    cloud.kill(0)
    report = regather.publish(cloud.file, cloud.urls, fragments=2, parity=1, settings=SETTINGS)
    assert [t.state for t in report.targets] == ["failed", "complete", "complete", "complete"]
    assert report.survives == 1
    assert cloud.names(3) == [NAME, "file_fragment_1.dat"]
    assert manifests(cloud) == [1, 2, 3]
    assert len(report.warnings) == 1
    cloud.kill(1)
    cloud.check(report.manifests[1])


def test_asking_for_less_keeps_it_whole(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 6)
    cloud.kill(5)
    report = regather.publish(cloud.file, cloud.urls, parity=2, survive=1, settings=SETTINGS)
    assert report.survives == 1
    assert any("more than one fragment" in line for line in report.warnings)
    cloud.kill(0)
    cloud.check(report.manifests[1])


def test_a_full_server(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 2)
    cloud.add(limits=Limits(total=100_000))
    report = regather.publish(cloud.file, cloud.urls, settings=SETTINGS)
    full = report.targets[2]
    assert (full.state, full.fragments) == ("full", ())
    assert "507" in full.error
    assert NAME in cloud.names(2), "there is room for the manifest"
    cloud.check(report)
    with pytest.raises(NotPlacedError) as caught:
        regather.publish(cloud.file, [cloud.urls[2]], fragments=2, settings=SETTINGS, force=True)
    assert any("full" in line and "507" in line for line in caught.value.details)


def test_a_limit_on_one_file(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 1)
    cloud.add(limits=Limits(upload=1000))
    with pytest.raises(NotPlacedError) as caught:
        regather.publish(cloud.file, cloud.urls, replicas=2, settings=SETTINGS)
    assert "413" in "".join(caught.value.details)
    assert "--max-upload" in "".join(caught.value.details)
    assert "full" not in "".join(caught.value.details)
    assert "1 more time (stored 1x)" in "".join(caught.value.details)


def test_wrong_tokens(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 2, 100_000)
    wrong = tmp_path / "wrong"
    wrong.write_text("not-it")
    wrong.chmod(0o600)
    for more in ([], ["--token", f"127.0.0.1={wrong}"]):
        words = [word for url in cloud.urls for word in ("--to", url)]
        result = run("publish", cloud.file, *words, *more)
        assert result.returncode == 1
        assert "2 of 2 targets did not accept the upload" in result.stderr
        assert "probe" not in result.stderr
        assert "401" in result.stderr
        assert ("--token 127.0.0.1=FILE" in result.stderr) or more
        assert result.stdout == ""
        assert "not-it" not in result.stderr
    assert cloud.names(0) == cloud.names(1) == []


def test_a_page_in_the_place_of_a_signature(tmp_path: Path) -> None:
    """A server that shows a page for what is not there: nothing is signed."""
    file = random_file(tmp_path / "file.bin", 1000)
    another = pytest.raises(DestinationExistsError, match="another file with this name")
    with foreign({}, "page") as url, another:
        regather.publish(file, [url])


def test_a_server_that_takes_no_files(tmp_path: Path, hosting: Hosting) -> None:
    (tmp_path / "s").mkdir()
    server = hosting.serve(tmp_path / "s")
    file = random_file(tmp_path / "file.bin", 1000)
    with pytest.raises(NotPlacedError) as caught:
        regather.publish(file, [server.url])
    assert "405" in "".join(caught.value.details)
    assert "does not accept uploads" in "".join(caught.value.details)
    assert "--token" not in caught.value.help


@pytest.mark.parametrize(
    "location", ["../other/x?sig=s3cret", "//me:s3cret@b.example/x", "", "//["]
)
def test_a_redirect_is_told_with_where_it_leads(tmp_path: Path, location: str) -> None:
    answer = f"HTTP/1.1 307 Go\r\nLocation: {location}\r\nContent-Type: text/html\r\n"
    file = random_file(tmp_path / "file.bin", 1000)
    with Rogue(sends(f"{answer}Content-Length: 0\r\n\r\n".encode())) as rogue:
        with pytest.raises(NotPlacedError) as caught:
            regather.publish(file, [f"{rogue.url}d/"], fragments=1, settings=SETTINGS)
        assert not any(request.startswith(b"PUT") for request in rogue.requests)
    told = "".join(caught.value.details)
    places = {"..": f"{rogue.url}other/", "//a": "http://b.example/", "//[": "an invalid address"}
    assert next((p for start, p in places.items() if location.startswith(start)), rogue.url) in told
    assert "s3cret" not in told + str(caught.value)


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("../other/{name}", "other/: give that address with --to"),
        ("{name}", "it redirects to itself"),
        ("/login?next=x", "not to a file of that name: a login may be required"),
        ("", "it redirects to nowhere"),
    ],
)
def test_only_a_redirect_to_such_a_file_is_an_address_to_name(
    tmp_path: Path, location: str, says: str
) -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        name = head.split()[1].rpartition(b"/")[2].decode()
        line = f"Location: {location.format(name=name)}\r\n" if location else ""
        connection.sendall(f"HTTP/1.1 307 Go\r\n{line}Content-Length: 0\r\n\r\n".encode())

    file = random_file(tmp_path / "file.bin", 1000)
    with Rogue(answer) as rogue, pytest.raises(NotPlacedError) as caught:
        regather.publish(file, [f"{rogue.url}d/"], fragments=1, settings=SETTINGS)
    told = "".join(caught.value.details)
    assert says in told
    assert ("--to" in told.replace("--token", "")) == location.startswith("..")


def test_a_server_that_says_the_token_back(tmp_path: Path) -> None:
    text = f"no: Bearer {SECRET}"
    answer = f"HTTP/1.1 403 No\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
    file = random_file(tmp_path / "file.bin", 1000)
    with Rogue(sends((answer + text).encode())) as rogue, pytest.raises(NotPlacedError) as caught:
        regather.publish(file, [rogue.url], fragments=1, settings=SETTINGS)
    assert "(no: Bearer ...)" in "".join(caught.value.details)
    assert SECRET not in "".join(caught.value.details) + str(caught.value)


def test_passing_failures_are_borne(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 1)
    cloud.add(faults=["error:503@0.3"])
    settings = regather.Settings(retries=12, tokens={"127.0.0.1": SECRET})
    report = regather.publish(cloud.file, cloud.urls, replicas=2, settings=settings)
    assert report.survives == 1
    cloud.check(report.manifests[0])


def test_other_files_are_left_alone(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    regather.publish(cloud.file, cloud.urls, settings=SETTINGS)
    before = {p: p.read_bytes() for n in range(3) for p in cloud.folder(n).iterdir()}
    old = cloud.file.read_bytes()
    for other in (
        random_file(tmp_path / "sub.bin", 5_000_011, seed=2),  # fragments are in the way
        random_file(tmp_path / "file.bin", 5_000_011, seed=3),  # the manifest as well
    ):
        says = (
            "another version" if other.name == "file.bin" else "another file with this name exists"
        )
        with pytest.raises(DestinationExistsError, match=says):
            regather.publish(other, cloud.urls, settings=SETTINGS)
        assert {p: p.read_bytes() for n in range(3) for p in cloud.folder(n).iterdir()} == before
    cloud.file.write_bytes(old)
    with pytest.raises(DestinationExistsError):  # the same file cut otherwise
        regather.publish(cloud.file, cloud.urls, fragments=6, settings=SETTINGS)
    report = regather.publish(cloud.file, cloud.urls, fragments=6, force=True, settings=SETTINGS)
    cloud.check(report)


def test_the_manifest_goes_before_what_it_promises(tmp_path: Path, hosting: Hosting) -> None:
    """With force, where the new one cannot be completed, the old one does not stay to lie."""
    cloud = make_cloud(tmp_path, hosting, 3)
    regather.publish(cloud.file, cloud.urls, replicas=2, settings=SETTINGS)
    assert manifests(cloud) == [0, 1, 2]
    random_file(cloud.file, 5_000_011, seed=9)
    cloud.hosting.kill(cloud.servers[2])
    full = hosting.serve(cloud.folder(2), tokens=Tokens(write=SECRET), limits=Limits(upload=10_000))
    urls = [*cloud.urls[:2], full.url]
    with pytest.raises(NotPlacedError, match="the version that was there is incomplete"):
        regather.publish(cloud.file, urls, replicas=3, force=True, settings=SETTINGS)
    assert manifests(cloud) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_version_stays_where_the_next_one_cannot_be_whole(
    tmp_path: Path, hosting: Hosting, dry_run: bool
) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    report = regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    before = {p: p.read_bytes() for n in range(3) for p in cloud.folder(n).iterdir()}
    old = cloud.file.read_bytes()
    cloud.kill(1)
    random_file(cloud.file, 5_000_011, seed=9)
    with pytest.raises(NotPlacedError, match="nothing was changed: the version that is there"):
        regather.publish(
            cloud.file, cloud.urls, parity=1, force=True, dry_run=dry_run, settings=SETTINGS
        )
    assert {p: p.read_bytes() for n in range(3) for p in cloud.folder(n).iterdir()} == before
    got = regather.download(report.manifests[0], tmp_path / "copy")
    assert Path(got.path).read_bytes() == old


def test_nothing_is_touched_where_one_may_not_write(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 2)
    regather.publish(cloud.file, cloud.urls, replicas=2, settings=SETTINGS)
    before = {p: p.read_bytes() for n in range(2) for p in cloud.folder(n).iterdir()}
    random_file(cloud.file, 5_000_011, seed=9)
    closed = hosting.serve(cloud.folder(1), tokens=Tokens(write="changed"))
    with pytest.raises(NotPlacedError, match="1 of 2 targets did not accept the upload"):
        regather.publish(
            cloud.file, [cloud.urls[0], closed.url], replicas=2, force=True, settings=SETTINGS
        )
    assert {p: p.read_bytes() for n in range(2) for p in cloud.folder(n).iterdir()} == before


def test_two_at_once(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(
                regather.publish,
                cloud.file,
                cloud.urls,
                parity=1,
                fragments=6,
                survive=0,
                settings=SETTINGS,
            )
            for _ in range(2)
        ]
        reports = [job.result(60) for job in jobs]
    size = sum(
        (cloud.folder(n) / f).stat().st_size for n in range(3) for f in cloud.names(n) if f != NAME
    )
    assert {r.uploaded + r.present for r in reports} == {size}
    cloud.check(reports[0])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--parity", "2"], "survives the loss of exactly"),
        (["--survive", "1"], "add --parity 1 or --replicas 2"),
        (["--replicas", "3"], "need at least this number of targets"),
        (["--set-size", "2"], "add --parity"),
        (["--fragments", "2", "--chunk-size", "5"], "not allowed"),
        (["--to", "ftp://a.example/"], "ftp"),
        (["--to", "http://user:pw@a.example/"], "password"),
        (["--to", "{file}"], "not a folder"),
        (["--to", "{folder}/"], "given twice"),
        (["--token", "x"], "HOST=FILE"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(tmp_path: Path, more: list[str], says: str) -> None:
    file = random_file(tmp_path / "file.bin", 10_000)
    folders = [tmp_path / "a", tmp_path / "b"]
    more = [word.format(file=file, folder=folders[0]) for word in more]
    result = run("publish", file, "--to", folders[0], "--to", folders[1], "--fragments=4", *more)
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not any(folder.exists() for folder in folders)


def test_force_publishes_with_less_safety(tmp_path: Path) -> None:
    file = random_file(tmp_path / "file.bin", 10_000)
    words = [word for n in range(3) for word in ("--to", str(tmp_path / f"d{n}"))]
    result = run("publish", file, *words, "--fragments", "4", "--parity", "2", "--force")
    assert result.returncode == 0, result.stderr
    assert "Survives: the loss of any 1 target" in result.stdout
    assert "warning: 3 of 3 targets hold more than one" in result.stderr
    assert "warning: force: the file does not survive the loss of 2 targets, only of 1" in (
        result.stderr
    )


def test_the_file_itself_is_never_replaced(tmp_path: Path) -> None:
    file = random_file(tmp_path / "file_fragment_1.dat", 10_000)
    with pytest.raises(UsageError, match="is the file to publish"):
        regather.publish(file, [str(tmp_path)], force=True)
    assert os.listdir(tmp_path) == [file.name]


def test_a_file_that_changes_meanwhile(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 2)

    def change(done: int, total: int) -> None:
        if done >= 5_000_011:
            with cloud.file.open("r+b") as file:
                file.seek(4_000_000)
                file.write(os.urandom(100))

    with pytest.raises(RegatherError, match="changed while it was published"):
        regather.publish(cloud.file, cloud.urls, settings=SETTINGS, on_progress=change)
    assert manifests(cloud) == []


def test_no_room_for_parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = random_file(tmp_path / "file.bin", 10_000)
    monkeypatch.setattr("regather.files.spool.os.statvfs", lambda _: os.statvfs_result([0] * 11))
    with pytest.raises(regather.StorageError, match="TMPDIR"):
        regather.publish(file, [str(tmp_path / "a"), str(tmp_path / "b")], parity=1)


def test_json(tmp_path: Path, hosting: Hosting, token: str) -> None:
    cloud = make_cloud(tmp_path, hosting, 2)
    result = run(*command(cloud, token, "--json", "--replicas", "2"))
    assert (result.returncode, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert found["survives"] == 1
    assert found["manifests"][0] == cloud.urls[0] + NAME
    words = f"regather get {cloud.urls[0]}{NAME} {cloud.urls[1]}{NAME}"
    assert found["command"] == f"{words} --digest {found['digest']}"
    quiet = run(*command(cloud, token, "--quiet", "--replicas", "2"))
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_readers_are_not_told_to_use_the_token_that_wrote(
    tmp_path: Path, hosting: Hosting, token: str
) -> None:
    cloud = make_cloud(tmp_path, hosting, 2)
    result = run(*command(cloud, token, "--replicas", "2"))
    assert (result.returncode, result.stderr) == (0, "")
    assert token.partition("=")[2] not in result.stdout
    assert "give readers a read token for" in result.stdout
    words = shlex.split(result.stdout.partition("Get it with:\n")[2].splitlines()[0])
    got = run(*words[1:], "-qo", tmp_path / "copy.bin")
    assert (got.returncode, got.stderr) == (0, "")
    assert (tmp_path / "copy.bin").read_bytes() == cloud.file.read_bytes()


@pytest.mark.parametrize("secure", [False, True])
def test_authorities_are_named_to_readers_who_need_them(
    tmp_path: Path, hosting: Hosting, token: str, secure: bool
) -> None:
    files = issue(tmp_path / "tls")
    (tmp_path / "store").mkdir()
    server = hosting.serve(
        tmp_path / "store", tokens=Tokens(write=SECRET), tls=files if secure else None
    )
    file = random_file(tmp_path / "f", 1000)
    result = run(
        *("publish", file, "--to", server.url, "--token", token),
        *("--cacert", files.authority, "--store-option", "profile=mine"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    line = result.stdout.partition("Get it with:\n")[2].splitlines()[0]
    assert ("--cacert" in line) == secure
    assert "--store-option" not in line
    got = run(*shlex.split(line)[1:], "-qo", tmp_path / "copy")
    assert (got.returncode, got.stderr) == (0, "")


def nothing_half(cloud: Cloud, whole: dict[str, bytes]) -> None:
    """Whatever is visible is whole, and a manifest stands only where all that it names does."""
    for number in range(len(cloud.servers)):
        for name in cloud.names(number):
            if name.startswith(PREFIX):
                continue
            data = (cloud.folder(number) / name).read_bytes()
            if name != NAME:
                assert blake3(data).digest() == whole[name], name
                continue
            manifest = regather.Manifest.from_bytes(data)
            for source in manifest.sources:
                held = cloud.names(cloud.urls.index(source.url))
                for index in source.fragments or ():
                    assert manifest.fragments[index - 1].name in held


@pytest.mark.timeout(600)
def test_killed_again_and_again(tmp_path: Path, hosting: Hosting, token: str) -> None:
    cloud = make_cloud(tmp_path, hosting, 5, 6_000_000)
    regather.split(cloud.file, tmp_path / "out", fragments=4, parity=2, set_size=4)
    whole = {p.name: blake3(p.read_bytes()).digest() for p in (tmp_path / "out").glob("*.dat")}
    words = command(
        cloud, token, "--fragments", "4", "--parity", "2", "--survive", "1", "--limit-rate", "20MB"
    )
    rng = random.Random(5)

    def visible() -> list[Path]:
        everything = (cloud.folder(i) / name for i in range(5) for name in cloud.names(i))
        return [path for path in everything if not path.name.startswith(PREFIX)]

    def settled() -> bool:
        return not any(n.startswith(PREFIX) for i in range(5) for n in cloud.names(i))

    killed = halfway = 0
    for _ in range(60):
        if killed == 20:
            break
        # A server may still be naming what it has received to the last byte: a manifest that
        # appeared after what it names was removed would be the fault of this test.
        wait_until(settled, what="the end of what is under way")
        if manifests(cloud):  # as good as done: begin again
            for path in visible():
                path.unlink()
        # Six fragments, then five manifests.
        enough = rng.randint(len(visible()), 8)
        child = started([*words, "--quiet"])
        wait_until(
            lambda e=enough, c=child: len(visible()) >= e or c.poll() is not None,  # type: ignore[misc]
            what="fragments in place",
        )
        time.sleep(rng.uniform(0, 0.05))
        killed += child.poll() is None
        child.kill()
        child.wait()
        nothing_half(cloud, whole)
        halfway += 0 < len(visible()) < 11
    assert killed == 20
    assert halfway >= 5
    result = run(*words)
    assert result.returncode == 0, result.stderr
    nothing_half(cloud, whole)
    assert manifests(cloud) == list(range(5))
    wait_until(settled)
    cloud.check(cloud.urls[0] + NAME)


def test_interrupted(tmp_path: Path, hosting: Hosting, token: str) -> None:
    cloud = make_cloud(tmp_path, hosting, 2, 20_000_000)
    words = command(cloud, token, "--fragments", "8", "--limit-rate", "6MB")
    child = subprocess.Popen(
        [sys.executable, "-m", "regather", *words, "--quiet"], stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: any("file_fragment" in n for i in range(2) for n in cloud.names(i)))
    child.send_signal(signal.SIGINT)
    told = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert told.splitlines() == [
        "regather: interrupted: stored fragments are kept; the same command resumes"
    ]
    assert manifests(cloud) == []
    report = regather.publish(cloud.file, cloud.urls, fragments=8, settings=SETTINGS)
    assert report.present > 0
    cloud.check(report)


def test_a_server_that_dies_meanwhile(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 4, 20_000_000)
    settings = regather.Settings(
        retries=1, tokens={"127.0.0.1": SECRET}, limit_rate=10_000_000, connections=2
    )
    killed = threading.Event()

    def kill(done: int, total: int) -> None:
        if cloud.names(1) and not killed.is_set():
            killed.set()
            cloud.kill(1)

    report = regather.publish(
        cloud.file, cloud.urls, fragments=12, settings=settings, on_progress=kill
    )
    assert killed.is_set()
    assert report.targets[1].state == "failed"
    assert manifests(cloud) == [0, 2, 3]
    cloud.check(report)


def test_nobody_is_there(tmp_path: Path) -> None:
    file = random_file(tmp_path / "file.bin", 10_000)
    url = f"127.0.0.1:{free_port()}"
    result = run("publish", file, "--to", url, "--fragments", "2", "--retries", "0")
    assert result.returncode == 1
    assert result.stderr.startswith("regather: 2 of 2 fragments could not be stored")
    assert url in result.stderr


@pytest.mark.parametrize("name", [".hidden", "x.regather-part"])
def test_a_name_that_no_server_of_ours_takes(tmp_path: Path, hosting: Hosting, name: str) -> None:
    """Told before anything is sent, not when all but the manifest is there."""
    cloud = Cloud(tmp_path, hosting, [])
    for _ in range(2):
        cloud.add()
    file = random_file(tmp_path / name, 1000)
    with pytest.raises(UsageError, match=r"names that begin with a dot .* another name"):
        regather.publish(file, cloud.urls, parity=1, fragments=1, settings=SETTINGS)
    assert cloud.names(0) == cloud.names(1) == []


def test_a_certificate_that_is_not_trusted(tmp_path: Path, hosting: Hosting) -> None:
    """It is no token that is wanting."""
    (tmp_path / "store").mkdir()
    server = hosting.serve(
        tmp_path / "store", tokens=Tokens(write=SECRET), tls=issue(tmp_path / "tls")
    )
    with pytest.raises(NotPlacedError, match="--cacert") as raised:
        regather.publish(random_file(tmp_path / "f", 1000), server.url, settings=SETTINGS)
    assert "--token" not in str(raised.value)
