"""Publishing to real servers and to folders, and getting the file from there."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

import regather
from regather.server.authorization import Tokens
from tests.publisher.support import SECRET, SETTINGS, make_cloud
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.tls import issue

NAME = "file.bin.regather.json"


def test_any_two_of_six_servers_may_be_lost(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 6)
    seen: list[tuple[int, int]] = []
    report = regather.publish(
        cloud.file,
        cloud.urls,
        parity=2,
        settings=SETTINGS,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert (report.survives, report.exact, report.warnings) == (2, True, ())
    assert report.manifests == tuple(url + NAME for url in cloud.urls)
    assert report.present == 0
    assert seen[-1][0] == seen[-1][1] == 5_000_011 + report.uploaded
    for number, target in enumerate(report.targets):
        assert cloud.names(number) == sorted([*target.fragments, NAME])
        assert len(target.fragments) == 1
    data = b"".join((cloud.folder(n) / f"file_fragment_{n + 1}.dat").read_bytes() for n in range(4))
    assert data == cloud.file.read_bytes()
    cloud.kill(1)
    cloud.kill(4)
    cloud.check(report)


def test_again_sends_nothing_and_changes_nothing(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    first = regather.publish(cloud.file, cloud.urls, replicas=2, settings=SETTINGS)
    assert (first.survives, first.uploaded) == (1, 2 * first.size)
    before = {p: p.stat().st_mtime_ns for n in range(3) for p in cloud.folder(n).iterdir()}
    again = regather.publish(cloud.file, cloud.urls, replicas=2, settings=SETTINGS)
    assert (again.uploaded, again.present) == (0, 2 * first.size)
    after = {p: p.stat().st_mtime_ns for n in range(3) for p in cloud.folder(n).iterdir()}
    assert after == before
    cloud.kill(0)
    cloud.check(first.manifests[1])


def test_damage_is_mended_and_more_copies_keep_the_older_sources(
    tmp_path: Path, hosting: Hosting
) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    regather.publish(cloud.file, cloud.urls[:2], fragments=2, settings=SETTINGS)
    damaged = cloud.folder(0) / "file_fragment_1.dat"
    data = bytearray(damaged.read_bytes())
    data[1_500_000] ^= 1
    damaged.write_bytes(data)
    again = regather.publish(cloud.file, cloud.urls[:2], fragments=2, settings=SETTINGS)
    assert again.uploaded == len(data)
    third = regather.publish(
        cloud.file, [cloud.urls[2], cloud.urls[0]], fragments=2, settings=SETTINGS
    )
    manifest = regather.Manifest.from_bytes((cloud.folder(0) / NAME).read_bytes())
    assert {s.url for s in manifest.sources} == set(cloud.urls)
    cloud.check(third)


def test_folders(tmp_path: Path) -> None:
    file = random_file(tmp_path / "file.bin", 3_000_000)
    folders = [str(tmp_path / "disks" / f"d{n}") for n in range(4)]
    report = regather.publish(file, folders, parity=1)
    assert (report.survives, len(report.manifests)) == (1, 4)
    manifest = regather.Manifest.from_bytes(Path(report.manifests[0]).read_bytes())
    assert manifest.sources == ()
    for path in Path(folders[1]).iterdir():
        path.unlink()
    assert report.command[-2:] == ("--digest", report.digest)
    servers = [word for word in report.command[3:-2] if word != "--server"]
    assert servers == [f"{folder}/" for folder in folders]
    regather.download(report.manifests[0], tmp_path / "copy", servers=servers)
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
    alone = regather.publish(file, tmp_path / "one", fragments=3)
    manifest_there = str(tmp_path / "one" / NAME)
    assert alone.command == ("regather", "get", manifest_there, "--digest", alone.digest)
    regather.download(alone.manifests[0], tmp_path / "copy2")
    assert (tmp_path / "copy2").read_bytes() == file.read_bytes()


def test_a_folder_among_servers_is_told(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 1)
    folder = str(tmp_path / "here")
    report = regather.publish(cloud.file, [folder, cloud.urls[0]], settings=SETTINGS)
    assert report.command == (
        *("regather", "get", cloud.urls[0] + NAME),
        *("--server", folder + "/"),
        *("--digest", report.digest),
    )
    assert any("cannot name folders" in line for line in report.warnings)


def test_sub_folders_of_one_server(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 1)
    targets = [cloud.urls[0] + "file/a", cloud.urls[0] + "file/b"]
    report = regather.publish(cloud.file, targets, replicas=2, settings=SETTINGS)
    assert any("a failure of that host loses both" in line for line in report.warnings)
    cloud.check(report)


def test_two_names_of_one_server(tmp_path: Path, hosting: Hosting) -> None:
    """What it survives would be told wrong, and nobody would know."""
    cloud = make_cloud(tmp_path, hosting, 1, 1000)
    (cloud.folder(0) / "sub").mkdir()
    named = cloud.urls[0].replace("127.0.0.1", "localhost") + "sub/"
    settings = replace(SETTINGS, tokens={"127.0.0.1": SECRET, "localhost": SECRET})
    report = regather.publish(cloud.file, [cloud.urls[0], named], parity=1, settings=settings)
    assert [line for line in report.warnings if "loses both" in line] == [
        f"2 targets are on {urlsplit(cloud.urls[0]).netloc}: a failure of that host loses both"
    ]


@pytest.mark.parametrize("size", [0, 1, 5, 1 << 20, (1 << 20) + 1])
def test_sizes(tmp_path: Path, hosting: Hosting, size: int) -> None:
    cloud = make_cloud(tmp_path, hosting, 3, size)
    report = regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    assert report.survives == 1
    cloud.check(report)
    again = regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    assert again.uploaded == 0


def test_many_sets_on_few_targets(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 4)
    report = regather.publish(
        cloud.file, cloud.urls, chunk_size=100_000, parity=1, set_size=3, settings=SETTINGS
    )
    assert (report.survives, report.warnings) == (1, ())
    cloud.kill(0)
    cloud.check(report.manifests[1])


def test_sharing_is_told(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    report = regather.publish(
        cloud.file, cloud.urls, fragments=4, parity=2, survive=1, settings=SETTINGS
    )
    assert report.survives == 1
    assert any("more than one fragment of an erasure set" in line for line in report.warnings)
    cloud.kill(2)
    cloud.check(report)


def test_tls(tmp_path: Path, hosting: Hosting) -> None:
    tls = issue(tmp_path / "tls")
    file = random_file(tmp_path / "file.bin", 2_000_000)
    (tmp_path / "store").mkdir()
    server = hosting.serve(tmp_path / "store", tokens=Tokens(write=SECRET), tls=tls)
    settings = regather.Settings(tokens={"127.0.0.1": SECRET}, cacert=str(tls.authority))
    report = regather.publish(file, [server.url], settings=settings)
    regather.download(report.manifests[0], tmp_path / "copy", settings=settings)
    assert (tmp_path / "copy").read_bytes() == file.read_bytes()
