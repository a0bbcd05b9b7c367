from __future__ import annotations

import base64
import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.server.process import Serve
from tests.support.files import regather

CONTENT = b"large file" * 100_000


@pytest.fixture
def hosted(tmp_path: Path) -> Path:
    """A folder with a file, and beside it its manifest."""
    path = tmp_path / "hosted" / "ü file.dat"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    os.utime(path, (1000, 1000))
    done = regather("split", path, "--out", path.parent, "--fragments", "2", "--sha256")
    assert done.returncode == 0, done.stderr
    return path.parent


ADDRESS = "/%C3%BC%20file.dat"
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


def test_the_hash_of_a_file_with_its_manifest_beside_it(hosted: Path) -> None:
    with Serve(hosted) as server:
        for method in ("GET", "HEAD"):
            assert server.get(ADDRESS, method).headers["Repr-Digest"] == DIGEST
        # It is of the whole file, so of use for a range too (RFC 9530 3.1).
        part = server.get(ADDRESS, Range="bytes=0-9", Want_Repr_Digest="sha-512=3, sha-256=10")
        assert (part.status, part.headers["Repr-Digest"]) == (206, DIGEST)
        for headers in ({"Want_Repr_Digest": "sha-256=0"}, {"Range": "bytes=0-9"}):
            assert "Repr-Digest" not in server.get(ADDRESS, **headers).headers
        fragment = server.get("/file_fragment_1.dat")
        assert fragment.status == 200
        assert "Repr-Digest" not in fragment.headers


def test_no_hash_that_may_be_of_another_file(hosted: Path) -> None:
    file, manifest = hosted / "ü file.dat", hosted / "ü file.dat.regather.json"
    right = manifest.read_bytes()

    def digest() -> str | None:
        answer = server.get(ADDRESS, "HEAD")
        assert answer.status == 200
        return answer.headers["Repr-Digest"]

    with Serve(hosted) as server:
        assert digest() == DIGEST
        file.write_bytes(CONTENT[::-1])  # now newer than its manifest
        os.utime(file, ns=(0, manifest.stat().st_mtime_ns + 1))
        assert digest() is None
        os.utime(file, (1000, 1000))
        assert digest() == DIGEST
        for wrong in (b"", b"[]", b"{", b"\xff", json.dumps({"size": len(CONTENT)}).encode()):
            manifest.write_bytes(wrong)
            assert digest() is None
        manifest.write_bytes(json.dumps({"size": len(CONTENT), "sha256": "x" * 64}).encode())
        assert digest() is None
        manifest.write_bytes(right)
        assert digest() == DIGEST
        file.write_bytes(CONTENT[1:])
        os.utime(file, (1000, 1000))
        assert digest() is None
        manifest.unlink()
        assert digest() is None
