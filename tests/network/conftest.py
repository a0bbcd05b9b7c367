"""Hosts and links for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.network import LinkSettings, Star, why_not

MakeStar = Callable[..., Star]


@pytest.fixture
def make_star() -> Iterator[MakeStar]:
    """``make_star(LinkSettings(…), …)`` makes a client with these links."""
    if reason := why_not():
        pytest.skip(reason)
    with ExitStack() as stack:
        yield lambda *links: stack.enter_context(Star(links))


def mbit(rate: float, rtt_ms: float, **more: float) -> LinkSettings:
    """A link of so many Mbit/s and ms there and back."""
    return LinkSettings(rate * 1e6, rtt_ms / 1e3, **more)  # type: ignore[arg-type]
