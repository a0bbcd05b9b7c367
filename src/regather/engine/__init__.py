"""The engine: asks the planner, carries out, tells it what happened.

    planner.handle(event) -> actions     under one lock, deciding only           (core)
    a worker a connection                kept for the next request               (workers)
    receive - hash - place               while the bytes are in the cache        (transfer)

Threads, not coroutines, carry the bytes: receiving, hashing and writing all release the
interpreter lock, so the workers run on all cores. Nothing but this and ``reading`` knows both the
planner and the transports.
"""

from regather.engine.core import Engine
from regather.engine.ending import Ending
from regather.engine.first_write_wins import Delivered
from regather.engine.tally import SourceTally

__all__ = ["Delivered", "Ending", "Engine", "SourceTally"]
