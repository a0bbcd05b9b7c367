"""Inputs made from others where changed bytes lead nowhere: values in JSON, records of journals."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from regather.digest import file_identity

Mutate = Callable[[bytes, int], bytes]
"""Changes bytes, up to a number of them: what the fuzzer does by itself."""
Mutator = Callable[[bytes, int, int, Mutate], bytes]
"""Changes an input: bytes, the most that they may become, a seed, and what changes bytes."""
_ODD: tuple[Any, ...] = (
    *(0, 1, -1, 2, 1023, 1024, 1025, 4096, 2**31, 2**32, 2**53, 2**60, 2**60 + 1, 2**63, 2**64),
    *(0.5, 1e300, True, False, None, "", "0", "..", "../x", "a/b", "/a", "\0", "\ud800", "x" * 300),
    *([], {}, [[]], [{}], "http://a.example/", "file:///etc/passwd", "data", "parity", "0" * 64),
)
_HEADER = 128
"""Bytes before the records of a journal: changed, it is that of another download."""


def json_mutator(data: bytes, most: int, seed: int, mutate: Mutate) -> bytes:
    """Change one value of a document in JSON, or, one time in four, its bytes."""
    rng = random.Random(seed)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return mutate(data, most)
    if rng.random() < 0.25:
        return mutate(data, most)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = _changed(value, rng, mutate)
    if isinstance(value, dict) and rng.random() < 0.7:
        _mend(value)
    try:
        made = json.dumps(value, indent=rng.choice((None, 1))).encode()
    except (ValueError, RecursionError):
        return mutate(data, most)
    return made if len(made) <= most else data


def journal_mutator(data: bytes, most: int, seed: int, mutate: Mutate) -> bytes:
    """Change the records, and, one time in four, the header."""
    if len(data) <= _HEADER or seed % 4 == 0:
        return mutate(data, most)
    return data[:_HEADER] + mutate(data[_HEADER:], most - _HEADER)


MUTATORS: dict[str, Mutator] = {
    "manifest": json_mutator,
    "folder": json_mutator,
    "journal": journal_mutator,
}
"""By the names of harnesses."""


def _changed(value: Any, rng: random.Random, mutate: Mutate) -> Any:
    """The value with a change somewhere inside."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        what = rng.random()
        if what < 0.08:
            del value[key]
        elif what < 0.16 and isinstance(value, list):
            value.insert(rng.randrange(len(value) + 1), deepcopy(value[key]))
        elif what < 0.22:
            value[key] = deepcopy(value[rng.choice(keys)])
        elif what < 0.26 and isinstance(value, dict):
            value[_text(str(key), rng, mutate)] = value.pop(key)
        else:
            value[key] = _changed(value[key], rng, mutate)
        return value
    if rng.random() < 0.3:
        return deepcopy(rng.choice(_ODD))
    if isinstance(value, str):
        return _text(value, rng, mutate)
    if isinstance(value, int):
        return value + rng.choice((1, -1, 1024, -1024)) if rng.random() < 0.6 else value * 2
    return value


def _text(value: str, rng: random.Random, mutate: Mutate) -> str:
    if rng.random() < 0.3:
        return value[: rng.randrange(len(value) + 1)]
    return mutate(value.encode("utf-8", "replace"), len(value) + 8).decode("utf-8", "replace")


def _mend(document: dict[str, Any]) -> None:
    """Give a manifest the digest that it must have, so that what comes after is reached."""
    try:
        data = [f for f in document["fragments"] if f.get("kind", "data") == "data"]
        hashes = [b64decode(fragment["hashes"]) for fragment in data]
        identity = file_identity(document["size"], document["piece_size"], hashes)
    except Exception:  # it is no manifest any more
        return
    document["digest"] = identity.hex()
