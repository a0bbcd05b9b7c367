"""What a disk may hold after a loss of power: recorded calls, some of them lost or out of order.

Only what was synced is certain: ``fsync`` of a file makes its bytes and its size durable, not its
name; that of a folder makes the names in it durable, not what they stand for; ``syncfs`` all. Of
the rest any part may be there. That is more than ext4, XFS and btrfs do: their journals keep the
order of names, and rename both names at once; bytes come late, or not, in pages.
"""

from __future__ import annotations

import copy
import os
import random
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.recorder import Call

_PAGE = 4096
_WRITES = frozenset(("write", "pwrite"))
_SYNCS = frozenset(("fsync", "fdatasync", "syncfs"))

Tree = dict[str, bytes | None]
"""Files by path, with their bytes; None for a folder. A link is ``b"-> TARGET"``; a further name of
a file, ``b"=> NAME"``."""
_LINK, _SAME = b"-> ", b"=> "
UNFINISHED = ".regather-"
"""In each name of what is not whole yet."""


@dataclass(slots=True, eq=False)
class Node:
    """A file, or a link: what names stand for."""

    before: bytes = b""
    effects: list[int] = field(default_factory=list)
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """What one call changes: names, or the bytes and size of a file."""

    at: int
    """When it was done: how many calls had ended."""
    names: Mapping[str, Node | None] = field(default_factory=dict)
    node: Node | None = None
    offset: int = 0
    data: bytes = b""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class _Sync:
    at: int
    began: int
    node: Node | None
    folder: str | None
    everything: bool

    def covers(self, effect: Effect) -> bool:
        if effect.at >= self.began:
            return False
        if self.everything:
            return True
        if effect.node is not None:
            return effect.node is self.node
        # A name that moves between folders is certain only where both are.
        return all(os.path.dirname(path) == self.folder for path in effect.names)


@dataclass(frozen=True, slots=True)
class State:
    """What is on the disk after a loss of power."""

    at: int
    """When: how many calls had ended."""
    how: str
    tree: Tree


def tree_of(root: Path) -> Tree:
    """What stands below a folder."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = _LINK + os.fsencode(os.readlink(path))
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found


def lay_out(tree: Tree, root: Path) -> None:
    """Make it so below an empty folder."""
    for name, content in tree.items():
        path = root / name
        if content is None:
            path.mkdir()
        elif content.startswith(_LINK):
            path.symlink_to(os.fsdecode(content[len(_LINK) :]))
        elif content.startswith(_SAME):
            path.hardlink_to(root / os.fsdecode(content[len(_SAME) :]))
        else:
            path.write_bytes(content)


class Recording:
    """The calls of one run, as changes of what is below a folder."""

    def __init__(self, root: Path, before: Tree, inodes: Mapping[int, str], calls: Sequence[Call]):
        """``before`` is what stood there, and ``inodes`` which number was which path."""
        self._root = f"{root}/"
        self._names: dict[str, Node | None] = {}
        self.effects: list[Effect] = []
        self._syncs: list[_Sync] = []
        for path, content in before.items():
            self._names[path] = Node(content or b"", folder=content is None)
        self._before = dict(self._names)
        self._nodes = {number: self._names[path] for number, path in inodes.items()}
        for at, call in enumerate(calls):
            if call.result >= 0:
                self._note(at, call)
        self.end = len(calls)

    def _path(self, target: str) -> str | None:
        return target.removeprefix(self._root) if target.startswith(self._root) else None

    def _note(self, at: int, call: Call) -> None:
        path = self._path(call.target)
        node = self._nodes.get(call.inode)
        if call.name in _SYNCS:
            if f"{call.target}/" == self._root:
                path = ""
            everything = call.name == "syncfs"
            if node is not None or path is not None or everything:
                self._syncs.append(_Sync(at, call.began, node, path, everything))
        elif call.name in _WRITES:
            self._change(Effect(at, node=node, offset=call.offset, data=call.data))
        elif call.name == "ftruncate":
            self._change(Effect(at, node=node, size=call.length))
        elif call.name == "fallocate":
            self._change(Effect(at, node=node, offset=call.offset + call.length))
        elif path is not None:
            self._note_name(at, call, path)

    def _note_name(self, at: int, call: Call, path: str) -> None:
        if call.name == "create" and call.created:
            self._nodes[call.inode] = made = Node()
            self._rename(at, {path: made})
        elif call.name in ("open", "create") and call.length & os.O_TRUNC:
            self._change(Effect(at, node=self._nodes.get(call.inode), size=0))
        elif call.name == "mkdir":
            self._rename(at, {path: Node(folder=True)})
        elif call.name == "symlink":
            self._rename(at, {path: Node(_LINK + os.fsencode(call.other))})
        elif call.name in ("unlink", "rmdir"):
            self._rename(at, {path: None})
        elif call.name in ("link", "rename"):
            old = self._path(call.other)
            assert old is not None, f"{call.other} is elsewhere"
            gone: dict[str, Node | None] = {old: None} if call.name == "rename" else {}
            self._rename(at, {**gone, path: self._names[old]})

    def _rename(self, at: int, names: Mapping[str, Node | None]) -> None:
        self._names.update(names)
        self.effects.append(Effect(at, names))

    def _change(self, effect: Effect) -> None:
        if effect.node is not None:
            effect.node.effects.append(len(self.effects))
            self.effects.append(effect)

    # -- states ---------------------------------------------------------------------------

    def _certain(self, at: int) -> set[int]:
        """The effects that a sync had made durable by then."""
        syncs = [sync for sync in self._syncs if sync.at < at]
        return {n for n, e in enumerate(self.effects) if any(s.covers(e) for s in syncs)}

    def without_sync(self) -> Iterator[Recording]:
        """The same, each time without one of the syncs."""
        for left_out in self._syncs:
            less = copy.copy(self)
            less._syncs = [sync for sync in self._syncs if sync is not left_out]
            yield less

    def states(
        self, rng: random.Random, each: int, promises: Sequence[int] = ()
    ) -> Iterator[State]:
        """What may be there, for a loss of power at any time, ``each`` at random besides.

        None comes twice between two of ``promises``: what is right before may be wrong after.
        """
        seen: set[tuple[int, tuple[tuple[str, bytes | None], ...]]] = set()
        times = {e.at + 1 for e in self.effects} | {s.at + 1 for s in self._syncs} | {0, self.end}
        for at in sorted(times):
            certain = self._certain(at)
            begun = [n for n, e in enumerate(self.effects) if e.at < at and n not in certain]
            names = [n for n in begun if self.effects[n].names]
            for how, kept, pages, grow in _choices(begun, names, rng, each):
                tree = self._tree(certain | kept, pages, grow=grow)
                known = sum(at > promise for promise in promises), tuple(sorted(tree.items()))
                if known not in seen:
                    seen.add(known)
                    yield State(at, how, tree)

    def _tree(self, kept: set[int], pages: _Pages, *, grow: bool) -> Tree:
        names = dict(self._before)
        for n, effect in enumerate(self.effects):
            if n in kept:
                names.update(effect.names)
        there = {path: node for path, node in names.items() if node is not None}
        tree: Tree = {}
        for path in sorted(path for path, node in there.items() if node.folder):
            if _in_folder(path, tree):
                tree[path] = None
        first: dict[Node, str] = {}
        files = (path for path, node in there.items() if not node.folder)
        for path in sorted(files, key=lambda path: (UNFINISHED in path, path)):
            node = there[path]
            if not _in_folder(path, tree):
                continue
            if node in first:
                tree[path] = _SAME + os.fsencode(first[node])
            else:
                tree[path] = self._content(node, kept, pages, grow=grow)
                first[node] = path
        return tree

    def _content(self, node: Node, kept: set[int], pages: _Pages, *, grow: bool) -> bytes:
        content = bytearray(node.before)
        for n in node.effects:
            effect = self.effects[n]
            if effect.size is not None:
                if n in kept:
                    del content[effect.size :]
                    content.extend(bytes(effect.size - len(content)))
                continue
            whole = [(0, len(effect.data))]
            for start, stop in whole if n in kept else pages(effect.data):
                _put(content, effect.offset + start, effect.data[start:stop])
            if grow or (n in kept and not effect.data):
                _put(content, effect.offset + len(effect.data), b"")
        return bytes(content)


def _in_folder(path: str, tree: Tree) -> bool:
    above = os.path.dirname(path)
    return not above or tree.get(above, b"") is None


_Pages = Callable[[bytes], Sequence[tuple[int, int]]]
"""The parts of lost bytes that are there all the same."""


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data


def _choices(
    begun: Sequence[int], names: Sequence[int], rng: random.Random, each: int
) -> Iterator[tuple[str, set[int], _Pages, bool]]:
    """Which of the effects that are not certain are there; the pages; whether files have grown."""
    bytes_only = set(begun) - set(names)

    def none(data: bytes) -> list[tuple[int, int]]:
        return []

    def some(data: bytes) -> list[tuple[int, int]]:
        starts = range(0, len(data), _PAGE)
        return [(s, min(s + _PAGE, len(data))) for s in starts if rng.random() < 0.5]

    yield "nothing more", set(), none, False
    yield "everything", set(begun), none, True
    yield "names, no bytes", set(names), none, False
    yield "names, zeros", set(names), none, True
    yield "bytes, no names", bytes_only, none, True
    yield "the last call lost", set(begun[:-1]), none, False
    yield "the last call alone", set(begun[-1:]), none, False
    for _ in range(each):
        count = rng.randrange(len(names) + 1)
        yield "names in order, some pages", set(names[:count]), some, rng.random() < 0.5
        kept = {n for n in begun if rng.random() < 0.5}
        yield "anything", kept, some, rng.random() < 0.5


def inodes_below(root: Path) -> dict[int, str]:
    """The number of each file below a folder, and its path."""
    return {
        status.st_ino: str(path.relative_to(root))
        for path in root.rglob("*")
        if stat.S_ISREG((status := path.lstat()).st_mode)
    }
