"""Going on after a run that was not finished, with other targets than it had."""

from __future__ import annotations

from pathlib import Path

import pytest

import regather
from regather.errors import DestinationExistsError, NotPlacedError
from regather.publisher.target_survey import matching
from regather.server.writing import Limits
from regather.splitter.geometry import fragment_sizes
from tests.publisher.support import SETTINGS, make_cloud
from tests.support.files import random_file
from tests.support.hosting import Hosting


@pytest.mark.parametrize("full", [0, 1, 2])
def test_one_more_target_is_all_that_a_full_one_takes(
    tmp_path: Path, hosting: Hosting, full: int
) -> None:
    """As the message says: the same command with one more --to."""
    cloud = make_cloud(tmp_path, hosting, 0)
    for number in range(4):
        cloud.add(limits=Limits(total=100_000) if number == full else None)
    with pytest.raises(NotPlacedError, match="add targets with --to"):
        regather.publish(cloud.file, cloud.urls[:3], parity=1, settings=SETTINGS)
    before = {
        path: path.stat().st_mtime_ns for n in range(3) for path in cloud.folder(n).glob("*.dat")
    }
    assert len(before) == 2
    report = regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "none is sent again"
    assert report.survives == 1
    cloud.check(report)


def test_only_parity_was_placed(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 0)
    for number in range(5):
        cloud.add(limits=Limits(total=100_000) if number < 2 else None)
    with pytest.raises(NotPlacedError):
        regather.publish(cloud.file, cloud.urls[:3], parity=1, settings=SETTINGS)
    assert cloud.names(2) == ["file_parity_1_1.dat"]
    report = regather.publish(cloud.file, cloud.urls, parity=1, settings=SETTINGS)
    assert report.present == (cloud.folder(2) / "file_parity_1_1.dat").stat().st_size
    cloud.check(report)


def test_another_file_is_still_left_alone(tmp_path: Path, hosting: Hosting) -> None:
    cloud = make_cloud(tmp_path, hosting, 3)
    regather.publish(cloud.file, cloud.urls[:2], settings=SETTINGS)
    kept = {path: path.read_bytes() for path in tmp_path.glob("store*/*")}
    random_file(cloud.file, cloud.file.stat().st_size, seed=9)
    with pytest.raises(DestinationExistsError):
        regather.publish(cloud.file, cloud.urls, settings=SETTINGS)
    assert {path: path.read_bytes() for path in tmp_path.glob("store*/*")} == kept


@pytest.mark.parametrize("size", [1, 2, 7, 100, 101, 5_000_011])
def test_the_number_follows_from_any_one_size(size: int) -> None:
    for count in range(1, min(size, 12) + 1):
        cut = fragment_sizes(size, count, None)
        for n, found in enumerate(cut):
            guess = matching(size, {n: found}, 20)
            assert guess is not None
            assert fragment_sizes(size, guess, None)[n] == found
        assert matching(size, dict(enumerate(cut)), 20) == count
        assert matching(size, dict(enumerate(cut)), count - 1) is None
    assert matching(size, {}, 20) is None
    assert matching(size, {0: size + 1}, 20) is None
    assert matching(size, {5: size}, 20) is None
