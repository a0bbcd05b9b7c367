"""Commands that are ended while they store a large object: no parts stay behind, which cost."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import obstore
import pytest

import regather
from regather.downloader import Settings
from tests.conformance.line import Fault, Line
from tests.support.files import MIB, random_file
from tests.support.net import PATIENCE, wait_until
from tests.support.swift import Swift

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def defaults() -> None:
    """In the child: also where the tests were started with signals ignored."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def uploads(line: Line, method: str, part: str) -> int:
    return sum(asked.startswith(method) and part in asked for asked in line.asked)


@pytest.fixture
def line(swift: Swift) -> Iterator[Line]:
    with Line(swift.port, Fault(rate=2000)) as made:  # what is answered takes a moment
        yield made


def via(line: Line, bucket: str) -> tuple[str, str]:
    return ("--store-option", f"s3://{bucket}:endpoint=http://127.0.0.1:{line.port}")


def ended(words: Sequence[str | Path], line: Line, swift: Swift, number: signal.Signals) -> str:
    """Run a command until it sends parts, and end it; returns what it told."""
    before = uploads(line, "PUT", "partNumber=")
    with subprocess.Popen(
        [sys.executable, "-m", "regather", *map(str, words)],
        env=swift.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=defaults,  # noqa: PLW1509
    ) as process:
        try:
            wait_until(lambda: uploads(line, "PUT", "partNumber=") > before, what="parts")
            process.send_signal(number)
            _, told = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "interrupted" in told
    begun = uploads(line, "POST", "uploads")
    assert begun
    over = uploads(line, "DELETE", "uploadId=") + uploads(line, "POST", "uploadId=")
    assert over == begun, "an upload stays open"
    return told


@pytest.mark.parametrize("number", SIGNALS, ids=lambda n: n.name)
def test_publish(tmp_path: Path, swift: Swift, line: Line, number: signal.Signals) -> None:
    file = random_file(tmp_path / "file.bin", 25 * MIB)
    bucket = swift.bucket()
    words = ["publish", str(file), "--fragments", "1", "--to", f"s3://{bucket}/x"]
    ended([*words, *via(line, bucket), "--limit-rate", "16MiB", "-q"], line, swift, number)
    assert not any(True for batch in obstore.list(swift.client(bucket)) for _ in batch)


def test_repair(tmp_path: Path, swift: Swift, line: Line) -> None:
    file = random_file(tmp_path / "file.bin", 50 * MIB)
    buckets = [swift.bucket() for _ in range(3)]
    report = regather.publish(
        file,
        [f"s3://{bucket}/x" for bucket in buckets],
        parity=1,
        settings=Settings(store_options=swift.options),
    )
    obstore.delete(swift.client(buckets[1]), "x/file_fragment_2.dat")
    words = ["repair", report.manifests[0], "--quick", "-q", *via(line, buckets[1])]
    ended(words, line, swift, signal.SIGINT)
