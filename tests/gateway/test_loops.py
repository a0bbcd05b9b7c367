"""Which gateways are known to have asked for a file."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from regather.gateway.loops import HEADER, LoopGuard


def ask(guard: LoopGuard, value: str) -> bool:
    return guard.is_loop(make_mocked_request("GET", "/file", headers={HEADER: value}))


def test_ids_are_passed_on_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again stays, also where there are as many as are remembered."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    guard = LoopGuard("own")
    assert not ask(guard, ", ".join(f"g{n}" for n in range(64)))
    assert not ask(guard, "one-too-many")
    assert set(guard.header().split(", ")) == {"own", *(f"g{n}" for n in range(64))}
    now += 50
    assert not ask(guard, 'g7; version="1"')
    now += 20
    assert guard.header() == "own, g7"
    assert not ask(guard, "new")
    assert guard.header() == "own, g7, new"
    assert ask(guard, "new, own;x")
