"""What a client gets that knows nothing of manifests: the right bytes, by every address."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gateway.support import Got, content_of, get, started
from tests.support.hosting import Hosting
from tests.support.small import PIECE, Small, small

SIZES = [40 * PIECE, 0, 40 * PIECE - 5, 7]
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """Fragments and parity, a server folder each."""
    part, folder = small(SIZES, parity=1), tmp_path_factory.mktemp("gateway")
    part.write(folder, {"1": [1, 2], "2": [3], "3": [4, 5]})
    return part, folder


def gateway_over(part: tuple[Small, Path], hosting: Hosting, folders: str = "123") -> str:
    servers = [hosting.serve(part[1] / name).url for name in folders]
    return started(hosting, [part[1] / "small.regather.json"], servers=servers).url


def test_the_whole_file_and_its_head(part: tuple[Small, Path], hosting: Hosting) -> None:
    url = gateway_over(part, hosting)
    content = content_of(part[0])
    head, whole = get(url, "small", method="HEAD"), get(url, "small")
    assert (head.status, head.body) == (200, b"")
    assert (whole.status, whole.body) == (200, content)
    for name in ("ETag", "Content-Length", "Content-Type", "Cache-Control"):
        assert head.headers[name] == whole.headers[name]
    assert whole.headers["Content-Length"] == str(len(content))
    assert whole.headers["Cache-Control"] == "no-cache"


def test_ranges_and_conditions(part: tuple[Small, Path], hosting: Hosting) -> None:
    url = gateway_over(part, hosting)
    content = content_of(part[0])
    tag = get(url, "small", method="HEAD").headers["ETag"]
    size = len(content)

    def got(**headers: str) -> Got:
        return get(url, "small", **headers)

    for text, start, stop in [
        ("bytes=0-0", 0, 1),
        (f"bytes={40 * PIECE - 1}-{40 * PIECE}", 40 * PIECE - 1, 40 * PIECE + 1),
        ("bytes=-9", size - 9, size),
        (f"bytes={size - 1}-{size * 2}", size - 1, size),
        ("bytes=1000-70000", 1000, 70001),
    ]:
        answer = got(Range=text)
        assert (answer.status, answer.body) == (206, content[start:stop]), text
    assert got(Range="bytes=5-6", If_Range=tag).body == content[5:7]
    assert got(Range="bytes=5-6", If_Range='"another"').body == content
    assert got(If_None_Match=tag).status == 304
    assert got(If_Match='"another"').status == 412
    several = got(Range="bytes=0-1,5000-5001")
    assert several.status == 206
    assert content[5000:5002] in several.body


def test_what_is_of_one_digest(part: tuple[Small, Path], hosting: Hosting) -> None:
    """A gateway is a source like any other: its manifest names no other, and no parity."""
    url = gateway_over(part, hosting)
    manifest = part[0].manifest
    below = f"d/{manifest.digest}"
    assert get(url, f"{below}/small").body == content_of(part[0])
    for fragment in manifest.fragments:
        answer = get(url, f"{below}/{fragment.name}")
        if fragment.kind == "data":
            assert answer.body == part[0].content[fragment.name]
            assert answer.headers["Cache-Control"] == IMMUTABLE
        else:
            assert answer.status == 404
    moved = get(url, "small.regather.json")
    assert (moved.status, moved.headers["Location"]) == (302, f"/{below}/small.regather.json")
    document = json.loads(get(url, f"{below}/small.regather.json").body)
    assert (document["digest"], document.get("sources", [])) == (manifest.digest, [])
    relayed = [fragment["name"] for fragment in document["fragments"]]
    assert relayed == [f.name for f in manifest.fragments if f.kind == "data"]
    assert get(url, part[0].names[0]).body == part[0].content[part[0].names[0]]


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "d",
        "d/",
        "d/00",
        f"d/{'0' * 64}/small",
        "small/",
        "small/x",
        "../small",
        "//",
        "./",
    ],
)
def test_what_is_not_there(path: str, part: tuple[Small, Path], hosting: Hosting) -> None:
    answer = get(gateway_over(part, hosting), path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_what_there_is(part: tuple[Small, Path], hosting: Hosting) -> None:
    url = gateway_over(part, hosting)
    listed = json.loads(get(url, Accept="application/json").body)["files"]
    assert [(f["name"], f["size"]) for f in listed] == [("small", sum(SIZES))]
    for link in ("url", "immutable_url"):
        assert get(url, listed[0][link][1:]).body == content_of(part[0])
    page = get(url, Accept="text/html")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert b'<a href="small">' in page.body


def test_a_server_dies_meanwhile(part: tuple[Small, Path], hosting: Hosting) -> None:
    """Its fragment is computed from the others: the client sees nothing of it."""
    dying = hosting.serve(part[1] / "1", faults=["truncate@0.5"])
    servers = [dying.url, *(hosting.serve(part[1] / name).url for name in "23")]
    url = started(hosting, [part[1] / "small.regather.json"], servers=servers).url
    content = content_of(part[0])
    assert get(url, "small", Range="bytes=0-9").body == content[:10]
    hosting.kill(dying)
    answer = get(url, "small")
    assert (answer.status, answer.body) == (200, content)


def test_a_write_is_refused(part: tuple[Small, Path], hosting: Hosting) -> None:
    answer = get(gateway_over(part, hosting), "small", method="PUT")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
