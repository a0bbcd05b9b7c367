"""Publishing again: only what changed travels, and nothing that a server made up goes further."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import regather
from regather.downloader import Settings
from regather.errors import DestinationExistsError, NotPlacedError
from regather.transport import TransportOptions
from regather.transport.objects.store_options import StoreOptions
from regather.transport.stores.open import open_store
from tests.conformance.line import Fault, Line
from tests.publisher.support import SETTINGS, make_cloud
from tests.support.files import MIB, random_file
from tests.support.hosting import Hosting
from tests.support.swift import Swift

NAME = "file.bin.regather.json"


def change(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_new_version_sends_what_differs(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 4)
    first = regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    change(cloud.file, 10)
    with pytest.raises(DestinationExistsError, match=r"another version of file\.bin") as caught:
        regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    assert "--force" in caught.value.help
    assert len(caught.value.details) == 4, "one line a server"
    report = regather.publish(cloud.file, cloud.urls, parity=1, force=True, settings=SETTINGS)
    sizes = [(cloud.folder(n) / name).stat().st_size for n, name in CHANGED]
    assert report.uploaded == sum(sizes), "the fragment, and the parity"
    assert report.uploaded + report.present == first.uploaded
    cloud.check(report)


CHANGED = ((0, "file_fragment_1.dat"), (3, "file_parity_1_1.dat"))


def test_a_store_is_believed_what_its_tags_say(tmp_path: Path, swift: Swift) -> None:
    """They are MD5: nothing is read back. What does not have the right one is."""
    file = random_file(tmp_path / "file.bin", 40 * MIB)
    bucket = swift.bucket()
    to = [f"s3://{bucket}/{n}" for n in range(2)]
    settings = Settings(store_options=swift.options)
    regather.publish(file, to, settings=settings)
    with Line(swift.port, Fault()) as line:
        via = Settings(store_options={**swift.options, **swift.at(line.port)})
        again = regather.publish(file, to, settings=via)
        assert again.uploaded == 0
        assert again.present == 40 * MIB
        assert not [asked for asked in line.asked if "GET" in asked and ".dat" in asked]
        assert not [asked for asked in line.asked if "PUT" in asked]
        change(file, 30 * MIB)
        third = regather.publish(file, to, settings=via, force=True)
        assert third.uploaded == 20 * MIB


@pytest.mark.parametrize("size", [0, 1, MIB, 16 * MIB, 16 * MIB + 1, 24 * MIB + 3])
def test_the_tag_is_what_the_store_makes_of_the_bytes(swift: Swift, size: int) -> None:
    from blake3 import blake3

    data = os.urandom(size)

    def read(offset: int, into: memoryview) -> None:
        into[:] = data[offset : offset + len(into)]

    options = TransportOptions(stores=StoreOptions(swift.options))
    store = open_store(f"s3://{swift.bucket()}/", options)
    store.put("x", size, read, blake3(data).digest())
    stat = store.stat("x")
    assert stat is not None
    assert stat.validator == store.tag_of(size, read)  # type: ignore[attr-defined]
    store.close()


def test_the_whole_is_known_from_the_start(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    told: list[tuple[int, int]] = []
    for _ in range(2):  # all is sent, and then nothing
        told.clear()
        regather.publish(
            cloud.file,
            cloud.urls,
            parity=1,
            settings=SETTINGS,
            on_progress=lambda done, total: told.append((done, total)),
        )
        assert len({total for _, total in told}) == 1
        assert told[-1][0] == told[-1][1]
        assert all(0 <= done <= total for done, total in told)


def add_source(path: Path, url: str) -> None:
    document = json.loads(path.read_bytes())
    document["sources"].append({"url": url, "fragments": [1]})
    path.write_text(json.dumps(document))


def test_one_server_adds_no_sources_to_the_manifest_of_all(
    tmp_path: Path, hosting: Hosting
) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    regather.publish(cloud.file, cloud.urls, settings=SETTINGS)
    add_source(cloud.folder(2) / NAME, "http://evil.example/")
    for number in (0, 1):
        add_source(cloud.folder(number) / NAME, "http://good.example/")
    report = regather.publish(cloud.file, cloud.urls, settings=SETTINGS)
    for number in range(3):
        manifest = regather.Manifest.from_bytes((cloud.folder(number) / NAME).read_bytes())
        assert {s.url for s in manifest.sources} == {*cloud.urls, "http://good.example/"}
    cloud.check(report)


def test_folders_that_are_made_are_there_after_a_power_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[str] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.add(os.path.realpath(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    file = random_file(tmp_path / "file.bin", 1000)
    monkeypatch.setattr(os, "fsync", note)
    regather.publish(file, [tmp_path / "new/a/b"], fragments=1)
    assert {str(tmp_path), *(str(tmp_path / p) for p in ("new", "new/a", "new/a/b"))} <= synced


def test_what_fails_is_one_line_a_server(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 2)
    cloud.kill(1)
    with pytest.raises(NotPlacedError) as caught:
        regather.publish(cloud.file, cloud.urls, fragments=12, replicas=2, settings=SETTINGS)
    about, placed = caught.value.details
    assert about.count(cloud.urls[1]) == 1
    assert placed.startswith("not stored: file_fragment_1.dat")
