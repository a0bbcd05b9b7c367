"""Erasure sets in words, the same for a terminal and for the page."""

from __future__ import annotations

from regather.units import counted


def any_enough(needed: int, every: int = 0) -> str:
    """How many fragments a set needs: ``any 3 are enough``, ``any 3 of 5 fragments are enough``."""
    of = f" of {counted(every, 'fragment')}" if every else ""
    return f"any {needed}{of} {'is' if needed == 1 else 'are'} enough"


def good_of(good: int, every: int) -> str:
    """How many fragments there are: ``4 of 5 fragments are good``."""
    return f"{good} of {counted(every, 'fragment')} {'is' if good == 1 else 'are'} good"


def needed_more(count: int) -> str:
    """What a set lacks: ``1 more fragment is needed``."""
    return f"{counted(count, 'more fragment')} {'is' if count == 1 else 'are'} needed"
