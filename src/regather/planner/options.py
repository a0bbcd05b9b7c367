"""What the user may set of the planner."""

from __future__ import annotations

from regather.planner.values import Value


class Options(Value, frozen=True):
    """Limits that the user may set."""

    connections: int = 8
    """Most requests in flight at one source."""
    max_requests: int = 32
    """Most requests in flight at all."""
    retries: int = 5
    """Failures in a row after which nothing waits for a source any longer."""
    max_rows: int = 1 << 30
    """Most rows that are wanted for the sake of a piece in them, where the store is small."""
