"""What is told of a target."""

from __future__ import annotations

import pytest

from regather.publisher.targets import PublishTarget
from regather.transport import TransportOptions
from regather.transport.stores.retrying import RetryPolicy


@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        ("failed", "/srv/x/: read-only file system", "/srv/x/: read-only file system"),
        ("failed", "/srv/x/f.dat: I/O error", "/srv/x/: f.dat: I/O error"),
        ("full", "/srv/x/f.dat: no space", "/srv/x/: full: f.dat: no space"),
        ("complete", "", ""),
    ],
)
def test_its_trouble_names_it_once(state: str, error: str, told: str) -> None:
    target = PublishTarget("/srv/x/", RetryPolicy(TransportOptions(), 0))
    target.state, target.error = state, error  # type: ignore[assignment]
    assert target.trouble == told
