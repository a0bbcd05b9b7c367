"""Types prepared once, whichever threads come first."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from regather.jsontext import JsonDecoder

RACE = """
import sys, threading
from typing import Annotated
import msgspec
from regather.jsontext import JsonDecoder

class Inner(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]*$")]
    size: Annotated[int, msgspec.Meta(ge=0)] | None = None

class Outer(msgspec.Struct):
    first: Inner
    rest: list[Inner]

sys.setswitchinterval(1e-6)
read = JsonDecoder(Outer)
other = JsonDecoder(Inner)
start = threading.Barrier(8)
results = []

def work():
    start.wait()
    results.append(other(b'{"name": "a"}'))
    results.append(read(b'{"first": {"name": "b"}, "rest": [{"name": "c", "size": 1}]}'))

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(results) == 16
"""


def test_threads_that_begin_at_once() -> None:
    # Decoding by msgspec.json.decode(data, type=...) dies of a segmentation fault here.
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr


def test_what_does_not_fit_is_told() -> None:
    read = JsonDecoder(dict[str, int])
    assert read(b'{"a": 1}') == {"a": 1}
    with pytest.raises(msgspec.ValidationError, match=r"\$"):
        read(b'{"a": "x"}')
    with pytest.raises(msgspec.DecodeError):
        read(b'{"a": ')
