"""Downloads from FTP and SFTP servers: mirrors, manifests, fragments, and what goes wrong."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from regather.checksum import Checksum
from regather.metalink.values import MetalinkFile, Mirror, Pieces
from regather.metalink.write import write_metalink
from tests.support.files import MIB, leftovers, random_file, without_progress
from tests.support.files import regather as run
from tests.support.ftp import FtpServer
from tests.support.hosting import Hosting
from tests.support.sftp import SftpServer

SIZE = 5 * MIB + 77
QUICK = regather.Settings(timeout=5, connect_timeout=2, retries=1, sync=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hosted")
    random_file(made / "f.bin", SIZE)
    os.utime(made / "f.bin", (1_000_000_000, 1_000_000_000))
    return made


@pytest.fixture(scope="module")
def ftp(folder: Path) -> Iterator[FtpServer]:
    with FtpServer(folder) as server:
        yield server


@pytest.fixture(scope="module")
def sftp(folder: Path) -> Iterator[SftpServer]:
    with SftpServer(folder) as server:
        yield server


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def settings_for(sftp: SftpServer) -> regather.Settings:
    return replace(QUICK, hosts=sftp.access, known_hosts=str(sftp.known_hosts))


def test_mirrors_of_every_kind(
    ftp: FtpServer, sftp: SftpServer, folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    urls = [s.url + "f.bin" for s in (ftp, sftp, hosting.serve(folder))]
    report = regather.download(
        urls,
        tmp_path,
        checksum="sha256:" + sha256(folder / "f.bin"),
        settings=settings_for(sftp),
    )
    assert report.verified
    assert sha256(tmp_path / "f.bin") == sha256(folder / "f.bin")
    assert {source.url for source in report.sources} == set(urls)


@pytest.mark.parametrize("kind", ["ftp", "sftp"])
def test_a_manifest_and_fragments(
    kind: str, ftp: FtpServer, sftp: SftpServer, folder: Path, tmp_path: Path
) -> None:
    url = (ftp if kind == "ftp" else sftp).url
    out = folder / f"split for {kind}"
    # The fragments are in the manifest's own folder, or where the manifest says.
    regather.split(folder / "f.bin", out, fragments=3, parity=1)
    (out / "file_fragment_2.dat").unlink()
    report = regather.download(
        f"{url}split%20for%20{kind}/f.bin.regather.json", tmp_path, settings=settings_for(sftp)
    )
    assert report.verified
    assert sha256(tmp_path / "f.bin") == sha256(folder / "f.bin")


def test_a_metalink_of_all_schemes(ftp: FtpServer, folder: Path, tmp_path: Path) -> None:
    content = (folder / "f.bin").read_bytes()
    hashes = [hashlib.sha256(content[at : at + MIB]).digest() for at in range(0, SIZE, MIB)]
    described = MetalinkFile(
        "f.bin",
        SIZE,
        (Checksum("sha256", hashlib.sha256(content).digest()),),
        (Pieces("sha256", MIB, b"".join(hashes)),),
        (Mirror("https://127.0.0.1:1/f.bin", 1), Mirror(ftp.url + "f.bin", 2)),
    )
    (folder / "f.meta4").write_bytes(write_metalink([described]))
    report = regather.download(ftp.url + "f.meta4", tmp_path, settings=QUICK)
    assert report.verified
    assert sha256(tmp_path / "f.bin") == sha256(folder / "f.bin")


def test_by_the_command_line(sftp: SftpServer, folder: Path, tmp_path: Path) -> None:
    host = f"127.0.0.1:{sftp.port}"
    name = sftp.access[host].user
    url = sftp.url.replace("sftp://", f"sftp://{name}@") + "f.bin"
    options = ["--ssh-key", f"{host}={sftp.key}", "--known-hosts", str(sftp.known_hosts)]
    told = run("get", url, "-o", tmp_path / "got", *options)
    assert told.returncode == 0, told.stderr
    assert sha256(tmp_path / "got") == sha256(folder / "f.bin")


def test_killed_and_resumed(folder: Path, tmp_path: Path) -> None:
    """A server that dies midway: what came is kept, and the next call goes on."""
    url = ""
    with FtpServer(folder, extra="TransferRate RETR 2000\n") as server:
        url = server.url + "f.bin"
        progress: list[int] = []

        def killing(now: regather.Progress) -> None:
            progress.append(now.done)
            if now.phase == "downloading" and now.done >= MIB:
                server.kill()

        with pytest.raises(regather.NotEnoughSourcesError):
            regather.download(url, tmp_path, settings=QUICK, on_progress=killing)
        port = server.port
    assert leftovers(tmp_path)
    with FtpServer(folder, port=port):
        report = regather.download(url, tmp_path, settings=QUICK)
    assert report.resumed >= MIB
    assert sha256(tmp_path / "f.bin") == sha256(folder / "f.bin")


def test_a_frozen_mirror_is_left_behind(
    sftp: SftpServer, folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    with FtpServer(folder, extra="TransferRate RETR 1000\n") as server:
        urls = [server.url + "f.bin", hosting.serve(folder, faults=["slow:3MB"]).url + "f.bin"]
        freezer = threading.Timer(0.5, server.freeze)
        freezer.start()
        report = regather.download(urls, tmp_path, settings=QUICK)
        freezer.join()
    assert sha256(tmp_path / "f.bin") == sha256(folder / "f.bin")
    assert report.size == SIZE


# -- one line ---------------------------------------------------------------------------------


def one_line(told: subprocess.CompletedProcess[str], code: int) -> str:
    assert told.returncode == code, told.stderr
    assert "Traceback" not in told.stderr
    lines = [line for line in without_progress(told.stderr).splitlines() if "warning" not in line]
    return "\n".join(lines)


def without_libcurl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; sys.modules['pycurl'] = None; from regather.cli import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("scheme", ["ftp", "ftps", "sftp"])
def test_libcurl_is_missing(scheme: str, tmp_path: Path) -> None:
    told = one_line(without_libcurl("get", f"{scheme}://127.0.0.1:1/f", "-o", tmp_path / "x"), 2)
    assert f"{scheme}:// needs libcurl" in told
    assert "pip install 'pycurl" in told


def test_a_mirror_that_needs_libcurl_does_no_harm(
    folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    server = hosting.serve(folder)
    digest = hashlib.sha256((folder / "f.bin").read_bytes()).digest()
    described = MetalinkFile(
        "f.bin",
        SIZE,
        (Checksum("sha256", digest),),
        (),
        (Mirror("ftp://127.0.0.1:1/f.bin", 1), Mirror(server.url + "f.bin", 2)),
    )
    (tmp_path / "f.meta4").write_bytes(write_metalink([described]))
    told = without_libcurl("get", tmp_path / "f.meta4", "-o", tmp_path / "got")
    assert told.returncode == 0, told.stderr
    assert sha256(tmp_path / "got") == sha256(folder / "f.bin")


@pytest.mark.parametrize("scheme", ["ftp", "ftps", "sftp"])
def test_nothing_is_published_there(scheme: str, folder: Path) -> None:
    told = one_line(run("publish", folder / "f.bin", "--to", f"{scheme}://127.0.0.1:1/d/"), 2)
    assert f"cannot store at {scheme}://" in told
    assert told.count("\n") <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ftp://ann:secret@127.0.0.1:1/f"], "a user name or a password"),
        (["ftp://127.0.0.1:1/", "ftp://127.0.0.1:1/f"], "a server, not a file"),
        (["sftp:///f"], "no host"),
        (["sftp://127.0.0.1:1/f", "--ssh-key", "key"], "--ssh-key needs HOST=FILE"),
        (["sftp://127.0.0.1:1/f", "--ssh-key", "h=/none"], "not usable as --ssh-key"),
        (["sftp://127.0.0.1:1/f", "--known-hosts", "/none"], "not usable as --known-hosts"),
    ],
)
def test_bad_input(arguments: list[str], says: str, tmp_path: Path) -> None:
    told = one_line(run("get", *arguments, cwd=tmp_path), 2)
    assert says in told
    assert "secret" not in told
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_host_key(sftp: SftpServer, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.touch()
    told = one_line(
        run("get", sftp.url + "f.bin", "-o", tmp_path / "got", "--known-hosts", known), 4
    )
    assert sftp.fingerprint in told
    assert "ssh-keyscan" in told


def test_check_and_repair_of_what_can_only_be_read(tmp_path: Path) -> None:
    random_file(tmp_path / "f.bin", 300_000)
    hosted = tmp_path / "hosted"
    hosted.mkdir()
    with FtpServer(hosted) as server:
        regather.split(tmp_path / "f.bin", hosted, fragments=3, parity=1, at=[server.url])
        manifest = hosted / "f.bin.regather.json"
        assert regather.check(manifest, read_data=1.0).status == "healthy"
        (hosted / "file_fragment_2.dat").unlink()
        told = run("repair", manifest)
        assert told.returncode == 1
        assert "can only be read" in told.stdout + told.stderr
        told = run("repair", manifest, "--to", server.url + "new/")
        assert (told.returncode, told.stderr.count("\n")) == (2, 1)
        assert "cannot store at ftp://" in told.stderr
        report = regather.repair(manifest, to=[str(tmp_path / "new")])
        assert report.status == "healthy"
    assert (tmp_path / "new" / "file_fragment_2.dat").exists()
