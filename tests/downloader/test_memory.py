"""Memory is bounded by what is in flight, whatever a manifest claims."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

import regather
from regather.digest import file_identity, piece_hash
from regather.downloader.planning import _MAX_BUFFERS
from regather.engine.worker_pool import most_requests
from regather.model import Fragment, FragmentIndex, Layout
from tests.support.files import MIB, random_file
from tests.support.hosting import Hosting

# The peak of this program only: that of getrusage counts what the parent had as well.
CODE = """
import re, sys, regather
regather.download(sys.argv[1], sys.argv[2], servers=sys.argv[3:])
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""


def one_fragment(size: int, piece_size: int) -> Layout:
    return Layout(size, piece_size, (Fragment(FragmentIndex(1), "f", 0, size),))


def test_a_buffer_is_no_larger_than_any_piece() -> None:
    assert one_fragment(5000, 64 * MIB).largest_piece == 5000
    assert one_fragment(65 * MIB, 64 * MIB).largest_piece == 64 * MIB
    assert one_fragment(0, MIB).largest_piece == 0
    assert Layout(0, MIB, ()).largest_piece == 0


@pytest.mark.parametrize(
    ("size", "piece_size", "most"),
    [(1 << 40, 64 * MIB, 4), (1 << 40, MIB, 32), (5000, 64 * MIB, 32), (0, MIB, 32)],
)
def test_requests_in_flight_fit_into_memory(size: int, piece_size: int, most: int) -> None:
    assert most_requests(one_fragment(size, piece_size), _MAX_BUFFERS) == most


def test_a_claimed_piece_size_costs_no_memory(tmp_path: Path, hosting: Hosting) -> None:
    content = random_file(tmp_path / "file.bin", 40_000).read_bytes()
    manifest = regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=40)
    path = tmp_path / "out" / "file.bin.regather.json"
    document = json.loads(path.read_bytes())
    hashes = [piece_hash(content[f.offset : f.offset + f.size]) for f in manifest.fragments]
    document["piece_size"] = 64 * MIB
    document["digest"] = file_identity(len(content), 64 * MIB, hashes).hex()
    for fragment, digest in zip(document["fragments"], hashes, strict=True):
        fragment["hashes"] = base64.b64encode(digest).decode()
    path.write_text(json.dumps(document))
    urls = [hosting.serve(tmp_path / "out").url for _ in range(8)]
    told = subprocess.run(
        [sys.executable, "-c", CODE, str(path), str(tmp_path / "got"), *urls],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(told.stdout) < 120 * 1024, "KiB at most"
    assert (tmp_path / "got").read_bytes() == content
