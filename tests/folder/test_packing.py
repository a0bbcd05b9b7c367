"""The packed file is a tar, whatever piece of it is looked at."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from regather.folder import Entry
from regather.folder.packing import Packing

_NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=90)


@st.composite
def folders(draw: st.DrawFn) -> list[tuple[Entry, bytes]]:
    made: dict[str, tuple[Entry, bytes]] = {}
    above = [""]
    for name in draw(st.lists(_NAME.filter(lambda n: n not in (".", "..")), max_size=8)):
        path = draw(st.sampled_from(above)) + name
        if path in made:
            continue
        kind = draw(st.sampled_from(["file", "folder", "link"]))
        if kind == "file":
            content = draw(st.binary(max_size=1500))
            mtime = draw(st.integers(-(2**40), 2**40))
            made[path] = Entry(path, "file", "640", len(content), mtime=mtime), content
        elif kind == "folder":
            made[path] = Entry(path, "folder", "750"), b""
            above.append(path + "/")
        else:
            made[path] = Entry(path, "link", target=draw(_NAME)), b""
    return list(made.values())


@settings(deadline=None, max_examples=60)
@given(folders(), st.integers(97, 3000), _NAME)
def test_any_cut_of_it_is_the_same_tar(
    given: list[tuple[Entry, bytes]], step: int, name: str
) -> None:
    packing = Packing(name, [entry for entry, _ in given])
    data = b""
    for start in range(0, packing.size, step):
        end = min(start + step, packing.size)
        at = start
        for first, stop, what in packing.spans(start, end):
            assert first == at < stop <= end
            at = stop
            if isinstance(what, bytes):
                assert len(what) == stop - first
                data += what
            else:
                offset = packing.folder.entries[what].offset
                data += given[what][1][first - offset : stop - offset]
        assert at == end
    assert len(data) == packing.size
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        members = tar.getmembers()
        assert len(members) == len(given)
        for member, (entry, content) in zip(members, given, strict=True):
            assert member.name == f"{name}/{entry.path}"
            if entry.kind == "file":
                assert (member.isreg(), member.mode, member.mtime) == (True, 0o640, entry.mtime)
                reader = tar.extractfile(member)
                assert reader is not None
                assert reader.read() == content
            elif entry.kind == "folder":
                assert (member.isdir(), member.mode) == (True, 0o750)
            else:
                assert (member.issym(), member.linkname) == (True, entry.target)


def test_more_than_eight_gigabytes() -> None:
    packing = Packing("big", [Entry("a", "file", "644", 2**40), Entry("b", "file", "644", 1)])
    assert packing.folder.entries[1].offset > 2**40
    assert [what for _, _, what in packing.spans(2**39, 2**39 + 10)] == [0]
