"""Each parser with the inputs of its corpus, and a short run of the fuzzer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.harnesses import HARNESSES, Harness
from tests.fuzz.judge import Finding, Judge, stretched
from tests.fuzz.mutate import json_mutator
from tests.fuzz.seeds import as_line, from_line, seeds
from tests.support.forks import in_child

_INPUTS = 3000
"""Of each harness: all of them take a minute on a busy machine."""


@pytest.mark.parametrize("name", HARNESSES)
def test_the_inputs_to_begin_with(name: str) -> None:
    judge = Judge(HARNESSES[name])
    for data in seeds(name):
        judge.check(data)
        judge.check(stretched(data, HARNESSES[name].most))


@pytest.mark.timeout(570)
@pytest.mark.skipif(
    sys.platform != "linux" or sys.version_info >= (3, 14), reason="atheris has no wheel for this"
)
def test_a_short_run_of_each(tmp_path: Path) -> None:
    # The seed is the same each time, so that nothing fails by chance: `make fuzz` draws one.
    outcomes = list(fuzz(list(HARNESSES), tmp_path, inputs=_INPUTS))
    finds = [f"{one.name}: {find}" for one in outcomes for find in one.finds]
    assert not finds, "\n".join(finds)
    assert {one.name: one.inputs for one in outcomes} == dict.fromkeys(HARNESSES, _INPUTS)


def harness(run: object) -> Harness:
    return Harness("size", run, (ValueError,), ())  # type: ignore[arg-type]


def test_errors_of_others_are_found() -> None:
    with pytest.raises(ZeroDivisionError):
        Judge(harness(lambda data: 1 // len(data))).check(b"")


def test_errors_in_several_lines_are_found() -> None:
    def told(data: bytes) -> None:
        raise ValueError("two\nlines")

    with pytest.raises(Finding, match="several lines"):
        Judge(harness(told)).check(b"")


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_memory_beyond_the_limit_is_found() -> None:
    def find() -> None:
        with pytest.raises(Finding, match="MiB"):
            Judge(harness(lambda data: [bytes([1]) * (32 << 20) for _ in range(8)])).check(b"")

    in_child(find)  # the peak of this process may be above that already


def test_inputs_that_take_too_long_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.judge.seconds", lambda *_: 1.2)
    monkeypatch.setattr("tests.fuzz.judge._alone", lambda *_: 1.11)
    Judge(harness(len)).check(bytes(1100 << 10))
    with pytest.raises(Finding, match=r"1\.11 s"):
        Judge(harness(len)).check(bytes(1000 << 10))


def test_a_stretched_input_repeats_a_slice() -> None:
    long = stretched(b"abc", 1 << 20)
    assert 1 << 19 < len(long) <= (1 << 20) + 3
    assert stretched(b"", 1 << 20) == b""


@pytest.mark.parametrize("data", [b"", b"#x", b"\\x00\x00\xff\n", "ü".encode()])
def test_lines_of_a_corpus(data: bytes) -> None:
    assert from_line(as_line(data)) == data
    assert not as_line(data).startswith("#")
    assert as_line(data).isascii()


def test_what_is_made_depends_on_nothing_but_the_seed() -> None:
    """A finding can be made again: nothing that is put into one document is changed later."""
    document = b'{"a": [1, [2, {"b": "x"}]], "c": {"d": []}}'

    def made() -> list[bytes]:
        data, several = document, []
        for seed in range(3000):
            data = json_mutator(data, 2000, seed, lambda data, _: data[::-1]) or document
            several.append(data)
        return several

    assert made() == made()
