"""What a power failure, or a user, may do to a partial."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.chaos.schedule import Tear


def tear(how: Tear, part: Path, journal: Path, seed: int) -> bool:
    """Do it; whether there was anything to be done it to."""
    if how == "none" or not (part.exists() and journal.exists()):
        return False
    rng = random.Random(f"tear {seed}")
    size = part.stat().st_size
    start = rng.randrange(size + 1)
    match how:
        case "cut":
            os.truncate(part, start)
        case "journal":
            os.truncate(journal, rng.randrange(journal.stat().st_size + 1))
        case "zero" | "flip":
            with part.open("r+b") as file:
                file.seek(start)
                found = file.read(rng.randint(1, 100_000) if how == "zero" else 1)
                file.seek(start)
                file.write(bytes(len(found)) if how == "zero" else bytes(b ^ 1 for b in found))
    return True
