"""Which server of a cluster gets which fault."""

from __future__ import annotations

import pytest

from regather.cli.cluster import _faults_by_server
from regather.errors import UsageError


def test_a_number_in_front_means_that_server_alone() -> None:
    given = ["reset@0.1", "2:die@10s", "2:error:503@0.5", "slow:20MB"]
    assert _faults_by_server(given, 3) == [
        ["reset@0.1", "slow:20MB"],
        ["reset@0.1", "die@10s", "error:503@0.5", "slow:20MB"],
        ["reset@0.1", "slow:20MB"],
    ]


@pytest.mark.parametrize("fault", ["0:die", "4:die", "2:", "2:explode", "x:die", "-1:die"])
def test_what_cannot_be_is_told_before_anything_starts(fault: str) -> None:
    with pytest.raises(UsageError):
        _faults_by_server([fault], 3)
