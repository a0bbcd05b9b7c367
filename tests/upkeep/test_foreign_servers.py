"""Servers of others: without ranges, and not to be trusted with what they are sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from regather.downloader import Settings
from regather.upkeep.inspection import check
from regather.upkeep.report import CopyState
from regather.upkeep.restoration import repair
from tests.support.foreign import foreign
from tests.support.small import PIECE, small

IMPATIENT = Settings(retries=0)


def test_a_server_without_ranges(tmp_path: Path) -> None:
    coded = small([10 * PIECE, 9000], parity=1)
    objects = {f"/{name}": content for name, content in coded.content.items()}
    with foreign(objects) as url:
        path = coded.at({url: [1, 2, 3]}).write(tmp_path, {})
        assert check(path, read_data=1, settings=IMPATIENT).status == "healthy"
        assert check(path, read_data=0.3, settings=IMPATIENT).status == "healthy"
        objects[f"/{coded.names[1]}"] = bytes(9000)
        del objects[f"/{coded.names[2]}"]
        lost = repair(path, settings=IMPATIENT)
        assert lost.status == "lost"
        objects[f"/{coded.names[2]}"] = coded.content[coded.names[2]]
        assert repair(path, settings=IMPATIENT).status == "healthy"
        assert {n: objects[f"/{n}"] for n in coded.names} == coded.content


@pytest.mark.parametrize("spoil", ["flip", "cut"])
def test_what_was_stored_is_looked_at(tmp_path: Path, spoil: str) -> None:
    plain = small([3000])
    plain.write(tmp_path, {"good": [1]})
    with foreign({}, spoil) as url:
        path = plain.at({url: [1]}).write(tmp_path, {})
        report = repair(path, servers=[str(tmp_path / "good")], settings=IMPATIENT)
        assert report.status == "incomplete"
        assert [u.source for u in report.unwritten] == [url]
        found = check(path, read_data=1, settings=IMPATIENT).findings[0]
        assert found.state is CopyState.MISSING  # rather than wrong
