"""Ranges across pieces, fragments and erasure sets; folders; manifests that change."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regather import split
from regather.server.authorization import Tokens
from tests.gateway.support import eventually, get, started
from tests.support.hosting import Hosting
from tests.support.small import PIECE, small, small_pieces

SIZES = [3 * PIECE + 1, 1, 0, 5 * PIECE, PIECE - 1, 4 * PIECE]
TOTAL = sum(SIZES)
BORDERS = sorted({0, TOTAL, *(sum(SIZES[:n]) for n in range(7)), *range(0, TOTAL, PIECE)})
PLACES = st.one_of(
    st.integers(0, TOTAL),
    st.builds(
        lambda at, by: min(max(at + by, 0), TOTAL), st.sampled_from(BORDERS), st.integers(-2, 2)
    ),
)


@given(data=st.data())
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_range_cold_warm_and_partly_dropped(
    data: st.DataObject, hosting: Hosting, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """T13: one gateway an example, with room for few pieces; two of six servers are off."""
    part, folder = small(SIZES, parity=1, set_size=3), tmp_path_factory.mktemp("ranges")
    part.write(folder, {str(n): [n] for n in range(1, 9)})
    off = data.draw(st.sets(st.sampled_from([1, 4]), max_size=2))
    servers = [hosting.serve(folder / str(n)) for n in range(1, 9) if n not in off]
    gateway = started(
        hosting,
        [folder / "small.regather.json"],
        servers=[server.url for server in servers],
        cache_size=data.draw(st.sampled_from([PIECE, 4 * PIECE, 64 * PIECE])),
    )
    content = b"".join(part.content[f.name] for f in part.manifest.fragments if f.kind == "data")
    for _ in range(data.draw(st.integers(1, 6))):
        start, stop = sorted((data.draw(PLACES), data.draw(PLACES)))
        if start == stop:
            continue
        got = get(gateway.url, "small", Range=f"bytes={start}-{stop - 1}")
        assert (got.status, got.body) == (206, content[start:stop])
    for server in (gateway, *servers):
        hosting.kill(server)


def test_a_folder(hosting: Hosting, tmp_path: Path) -> None:
    """Its files below its name, lists of them, the packed file, and the same by digest."""
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    rng = random.Random(3)
    files = {"a.txt": rng.randbytes(3000), "sub/b é.bin": rng.randbytes(5000), "empty": b""}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with small_pieces():
        report = split(folder, tmp_path / "hosted")
    gateway = started(hosting, [tmp_path / "hosted"])
    for name, content in files.items():
        for below in ("data", f"d/{report.digest}/data"):
            path = f"{below}/{name}".replace(" ", "%20").replace("é", "%C3%A9")
            answer = get(gateway.url, path)
            assert (answer.status, answer.body) == (200, content), path
    listed = json.loads(get(gateway.url, "data/", Accept="application/json").body)["entries"]
    assert {entry["name"] for entry in listed} == {"a.txt", "empty", "sub/"}
    moved = get(gateway.url, "data/sub")
    assert (moved.status, moved.headers["Location"]) == (301, "sub/")
    assert b"b%20%C3%A9.bin" in get(gateway.url, "data/sub/").body
    assert get(gateway.url, "data.tar").body[257:262] == b"ustar"
    assert get(gateway.url, "data/none").status == 404


def test_manifests_that_come_change_and_go(hosting: Hosting, tmp_path: Path) -> None:
    """A folder is looked at again; the old version stays under its digest."""
    places, shelf = tmp_path / "places", tmp_path / "shelf"
    shelf.mkdir()
    versions = [small([2 * PIECE, 5], seed=seed) for seed in (1, 2)]
    urls = []
    for seed, version in enumerate(versions):
        version.write(places / str(seed), {"1": [1, 2]})
        urls.append(hosting.serve(places / str(seed) / "1").url)
    gateway = started(hosting, [shelf])
    assert get(gateway.url, "small").status == 404
    assert get(gateway.url, "-/ready").status == 503
    contents = [b"".join(version.content.values()) for version in versions]
    for version, url, content in zip(versions, urls, contents, strict=True):
        made = version.at({url: [1, 2]}).write(tmp_path, {})
        shutil.move(made, shelf / "small.regather.json")
        _until_served(gateway.url, content)
    assert get(gateway.url, f"d/{versions[0].manifest.digest}/small").body == contents[0]
    (shelf / "small.regather.json").write_text("{")  # an error: what was known is served
    assert get(gateway.url, "small").body == contents[1]
    (shelf / "small.regather.json").unlink()
    assert eventually(lambda: get(gateway.url, "small").status == 404)
    assert get(gateway.url, f"d/{versions[1].manifest.digest}/small").body == contents[1]


def _until_served(url: str, content: bytes) -> None:
    assert eventually(lambda: get(url, "small").body == content)


def test_a_token_is_asked_for(hosting: Hosting, tmp_path: Path) -> None:
    part = small([PIECE])
    gateway = started(
        hosting,
        [part.write(tmp_path, {".": [1]})],
        tokens=Tokens(read="a-long-secret-word"),
        public_url="https://files.example/pub",
    )
    path = f"d/{part.manifest.digest}/small"
    assert get(gateway.url, path).status == 401
    answer = get(gateway.url, path, Authorization="Bearer a-long-secret-word")
    assert answer.headers["Cache-Control"].startswith("private, ")
    listed = get(gateway.url, Accept="application/json", Authorization="Bearer a-long-secret-word")
    assert json.loads(listed.body)["files"][0]["url"] == "https://files.example/pub/small"
