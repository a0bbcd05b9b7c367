"""The manifest: what is written is read, and no input does anything but raise ManifestError."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from msgspec.structs import replace as altered

from regather.coding.codec import codec_for
from regather.errors import ManifestError
from regather.hashes import HASH_SIZE
from regather.manifest import CODE, Manifest
from regather.model import MIN_PIECE_SIZE, Fragment, FragmentIndex, ManifestSource, piece_size_for

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


def example(sizes: list[int], sources: tuple[ManifestSource, ...] = ()) -> Manifest:
    fragments = []
    offset = 0
    for n, size in enumerate(sizes, 1):
        pieces = -(-size // MIN_PIECE_SIZE)
        fragments.append(
            Fragment(FragmentIndex(n), f"f{n}", offset, size, bytes([n % 256]) * HASH_SIZE * pieces)
        )
        offset += size
    return Manifest("näme", offset, MIN_PIECE_SIZE, tuple(fragments), sources, "a" * 64)


def test_a_source_that_stands_twice_holds_what_both_say() -> None:
    def read(*sources: tuple[str, list[int] | None]) -> tuple[ManifestSource, ...]:
        document = json.loads(example([1, 1, 1]).to_bytes())
        document["sources"] = [
            {"url": url} | ({} if held is None else {"fragments": held}) for url, held in sources
        ]
        return Manifest.from_bytes(json.dumps(document).encode()).sources

    one, other = "http://a.example/d/", "http://b.example/"
    assert read((one, [1]), (other, [2]), (one[:-1], [3])) == (
        ManifestSource(one, frozenset(map(FragmentIndex, (1, 3)))),
        ManifestSource(other, frozenset((FragmentIndex(2),))),
    )
    assert read((one, [1]), (one, None)) == (ManifestSource(one),)
    assert read((one, None), (one, [1])) == (ManifestSource(one),)


@given(st.lists(st.integers(0, 5 * MIN_PIECE_SIZE), min_size=1, max_size=8))
def test_round_trip(sizes: list[int]) -> None:
    sources = (
        ManifestSource("http://a.example/d/", frozenset((FragmentIndex(1),))),
        ManifestSource("https://[::1]:8/"),
    )
    manifest = example(sizes, sources)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


@given(st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_bytes(data)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_any_value_anywhere(data: st.DataObject) -> None:
    made = data.draw(st.sampled_from([example([5, 5]), coded_example()]))
    document = json.loads(made.to_bytes())
    key = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(JSON)
    where = document
    if key == "fragments" and data.draw(st.booleans()):
        where = data.draw(st.sampled_from(document["fragments"]))
        key = data.draw(st.sampled_from(sorted(where)))
        value = data.draw(st.just(value) | st.integers(0, 3))
    where[key] = value
    try:
        manifest = Manifest.from_bytes(json.dumps(document).encode())
    except ManifestError:
        return
    assert sum(f.size for f in manifest.fragments if f.kind == "data") == manifest.size
    for erasure_set in manifest.layout.sets:
        codec_for(len(erasure_set.data), len(erasure_set.parity))
        assert {manifest.layout.pieces_of(f) for f in erasure_set.parity} == {erasure_set.rows}


@given(st.integers(0, 2000))
def test_any_truncation(cut: int) -> None:
    data = example([5, 5]).to_bytes().rstrip()
    with pytest.raises(ManifestError):
        Manifest.from_bytes(data[: cut % len(data)])


def coded_example() -> Manifest:
    """Two sets: of two unequal data fragments and two of parity, and of one and one."""
    data = example([3 * MIN_PIECE_SIZE, 5, MIN_PIECE_SIZE])
    sizes = [3 * MIN_PIECE_SIZE, 3 * MIN_PIECE_SIZE, MIN_PIECE_SIZE]
    parity = [
        Fragment(
            FragmentIndex(4 + n),
            f"p{n}",
            0,
            size,
            bytes([99]) * HASH_SIZE * (size // MIN_PIECE_SIZE),
        )
        for n, size in enumerate(sizes)
    ]
    return replace(
        data,
        fragments=(
            *(altered(f, set=s) for f, s in zip(data.fragments, (1, 1, 2), strict=True)),
            *(altered(f, set=s, kind="parity") for f, s in zip(parity, (1, 1, 2), strict=True)),
        ),
    )


def test_round_trip_with_parity() -> None:
    manifest = coded_example()
    data = manifest.to_bytes()
    assert Manifest.from_bytes(data) == manifest
    document = json.loads(data)
    assert document["erasure"] == {"code": CODE}
    assert document["fragments"][0] == document["fragments"][0] | {"index": 1, "set": 1}
    assert "kind" not in document["fragments"][0]
    assert document["fragments"][3]["kind"] == "parity"
    assert manifest.layout.data_count == 3
    assert [f.offset for f in manifest.layout.fragments[3:]] == [
        manifest.size,
        manifest.size + 3 * MIN_PIECE_SIZE,
        manifest.size + 6 * MIN_PIECE_SIZE,
    ]
    assert [(s.data, s.parity, s.rows) for s in manifest.layout.sets] == [
        ((0, 1), (3, 4), 3),
        ((2,), (5,), 1),
    ]


def test_parity_is_no_part_of_the_identity() -> None:
    """It is not the file: what is decoded from it is held against the hashes of the data."""
    assert coded_example().digest == example([3 * MIN_PIECE_SIZE, 5, MIN_PIECE_SIZE]).digest


def test_parity_may_stand_anywhere() -> None:
    manifest = coded_example()
    one, two, three, p, q, r = manifest.fragments
    mixed = Manifest.from_bytes(replace(manifest, fragments=(p, one, two, q, r, three)).to_bytes())
    assert mixed.layout.fragments == manifest.layout.fragments


@pytest.mark.parametrize(
    ("at", "changes", "says"),
    [
        (3, {"size": 2 * MIN_PIECE_SIZE}, "hashes"),
        (
            3,
            {"size": 2 * MIN_PIECE_SIZE + 1},
            "fragments[3].size is 2097153: a parity fragment must",
        ),
        (3, {"size": 0, "hashes": ""}, "fragments[3].size is 0: a parity fragment must"),
        (3, {"size": 2**61}, "fragments[3].size"),
        (3, {"size": 2**60}, "hashes"),
        (3, {"size": -1}, "fragments[3].size"),
        (3, {"set": 2}, "fragments[3].size"),  # the longest of that one is shorter
        (3, {"set": 0}, "fragments[3].size"),
        (3, {"set": 3}, "fragments[3].size"),
        (3, {"set": -1}, "fragments[3].set"),
        (3, {"set": 2**33}, "fragments[3].set"),
        (3, {"set": 1.5}, "fragments[3].set"),
        (3, {"index": 1}, "fragments[3].index 1 is listed twice"),
        (3, {"index": 5}, "fragments[4].index 5 is listed twice"),
        (3, {"name": "f1"}, "fragments[3].name 'f1' is listed twice"),
        (3, {"name": "../p"}, "fragments[3].name"),
        (3, {"kind": "data"}, "fragments[3].offset"),
        (3, {"kind": "mirror"}, "fragments[3].kind"),
        (3, {"hashes": "!"}, "fragments[3].hashes"),
        (2, {"set": 1}, "fragments[5].size"),  # parity of a set without data
        (2, {"set": 7}, "fragments[2].set 7 has no parity"),
        (5, {"set": 1, "size": 3 * MIN_PIECE_SIZE}, "hashes"),
    ],
)
def test_sets_that_cannot_be(at: int, changes: dict[str, object], says: str) -> None:
    document = json.loads(coded_example().to_bytes())
    document["fragments"][at].update(changes)
    with pytest.raises(ManifestError) as caught:
        Manifest.from_bytes(json.dumps(document).encode())
    assert says in str(caught.value)


def test_the_data_of_a_set_stands_together() -> None:
    document = json.loads(example([5, 5, 5]).to_bytes())
    for fragment, number in zip(document["fragments"], (1, 0, 1), strict=True):
        fragment["set"] = number
    parity = document["fragments"][0] | {"index": 9, "name": "p", "kind": "parity"}
    document |= {"fragments": [*document["fragments"], parity], "erasure": {"code": CODE}}
    with pytest.raises(ManifestError, match=r"fragments\[2\].set 1: .* are not consecutive"):
        Manifest.from_bytes(json.dumps(document).encode())
    document["fragments"][1]["set"] = 1
    assert len(Manifest.from_bytes(json.dumps(document).encode()).layout.sets) == 1


@pytest.mark.parametrize("erasure", [None, {"code": "xor"}, {"code": "x" * 65}, {}, 5, {"code": 1}])
def test_an_unknown_code_is_refused(erasure: object) -> None:
    document = json.loads(coded_example().to_bytes())
    document["erasure"] = erasure
    with pytest.raises(ManifestError, match="erasure"):
        Manifest.from_bytes(json.dumps(document).encode())
    # Without parity a code that is not used does no harm.
    plain = json.loads(example([5]).to_bytes()) | {"erasure": {"code": "xor"}}
    assert Manifest.from_bytes(json.dumps(plain).encode()) == example([5])


def test_a_set_needs_parity() -> None:
    document = json.loads(example([5, 5]).to_bytes())
    document["fragments"][1]["set"] = 1
    for erasure in ({}, {"erasure": {"code": CODE}}):
        with pytest.raises(ManifestError, match=r"erasure.code is|set 1 has no parity"):
            Manifest.from_bytes(json.dumps(document | erasure).encode())


@pytest.mark.parametrize(("parity", "good"), [(1, True), (253, True), (254, False)])
def test_the_field_bounds_a_set(parity: int, good: bool) -> None:
    document = json.loads(example([5, 5, 5]).to_bytes())
    for fragment in document["fragments"]:
        fragment["set"] = 1
    first = document["fragments"][0]
    document["fragments"] += [
        first | {"index": 10 + n, "name": f"p{n}", "kind": "parity"} for n in range(parity)
    ]
    data = json.dumps(document | {"erasure": {"code": CODE}}).encode()
    if good:
        assert len(Manifest.from_bytes(data).layout.sets[0].parity) == parity
    else:
        with pytest.raises(ManifestError, match="more than 256 fragments"):
            Manifest.from_bytes(data)


def test_many_sets_take_little_memory() -> None:
    """A manifest of nothing but tiny sets: still a small multiple of its own size."""
    one = {"size": 0, "hashes": "", "offset": 0}
    document = json.loads(example([0]).to_bytes()) | {"erasure": {"code": CODE}}
    document["fragments"] = [
        one | {"index": 2 * n + odd, "name": f"{odd}{n}", "kind": kind, "set": n + 1}
        for n in range(10_000)
        for odd, kind in enumerate(("data", "parity"))
    ]
    data = json.dumps(document).encode()
    tracemalloc.start()
    try:
        assert len(Manifest.from_bytes(data).layout.sets) == 10_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(data)


def test_one_tebibyte_stays_small() -> None:
    size = 1 << 40
    piece_size = piece_size_for(size)
    count = 64
    each = size // count
    hashes = bytes(range(32)) * (each // piece_size)
    fragments = tuple(
        Fragment(FragmentIndex(n + 1), f"file_fragment_{n + 1}.dat", n * each, each, hashes)
        for n in range(count)
    )
    tracemalloc.start()
    data = Manifest("large", size, piece_size, fragments).to_bytes()
    assert len(data) < 16 << 20
    manifest = Manifest.from_bytes(data)
    assert manifest.layout.piece_count == 1 << 18
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


def test_the_digest_pins_content_size_and_geometry() -> None:
    base = example([3 * MIN_PIECE_SIZE])
    assert base.digest != example([2 * MIN_PIECE_SIZE, MIN_PIECE_SIZE]).digest
    assert base.digest != example([3 * MIN_PIECE_SIZE - 1]).digest
    assert base.digest == example([3 * MIN_PIECE_SIZE], (ManifestSource("http://h/"),)).digest


@pytest.mark.parametrize(
    ("size", "piece_size"),
    [
        (0, 1 << 20),
        (1 << 38, 1 << 20),
        ((1 << 38) + 1, 1 << 21),
        (1 << 40, 1 << 22),
        (1 << 60, 1 << 26),
    ],
)
def test_piece_sizes(size: int, piece_size: int) -> None:
    assert piece_size_for(size) == piece_size
