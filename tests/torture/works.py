"""The commands that are tormented, on small files and folders."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import regather
from regather.server.authorization import Tokens
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.torture.harness import Outcome, Work, environment
from tests.torture.recorder import KILL, Point, Recorder
from tests.torture.served import served

SIZE = 300_000
_PIECE = 65536
FRAGMENTS = ("file_fragment_1.dat", "file_fragment_2.dat", "file_parity_1_1.dat")
PUBLISHED = (
    *("1/f.bin.regather.json", "1/file_fragment_1.dat"),
    *("2/f.bin.regather.json", "2/file_parity_1_1.dat"),
)


def below(folder: Path, suffix: str) -> list[Path]:
    """The files whose names end so; a server may still remove an empty folder meanwhile."""
    return [
        Path(at, name)
        for at, _, names in os.walk(folder)
        for name in names
        if name.endswith(suffix)
    ]


class CommandWork(Work):
    """A command that runs to its end."""

    def __init__(
        self,
        name: str,
        final: Sequence[str],
        arguments: Callable[[Path], list[str]],
        wrong: Callable[[Path, Outcome], str],
        before: Callable[[Path], None] = lambda folder: None,
        *,
        refuses: bool = False,
        durable: bool = True,
    ) -> None:
        super().__init__(name, final, refuses=refuses)
        self.durable = durable
        self._arguments = arguments
        self._wrong = wrong
        self._before = before

    def prepare(self, folder: Path) -> None:
        """See Work.prepare."""
        self._before(folder)

    def run(
        self, recorder: Recorder, folder: Path, point: Point | None, *, record: bool = False
    ) -> Outcome:
        """See Work.run."""
        arguments = self._arguments(folder)
        done = recorder.run(arguments, environment(folder), point, record=record)
        return Outcome(done.returncode, done.stdout, done.stderr.decode())

    def wrong(self, folder: Path, outcome: Outcome) -> str:
        """See Work.wrong."""
        return self._wrong(folder, outcome)


def _tree(folder: Path) -> None:
    (folder / "deep").mkdir(parents=True)
    random_file(folder / "a.bin", 100_000)
    random_file(folder / "deep" / "b.bin", 50_000, seed=2)
    (folder / "empty").touch()
    (folder / "link").symlink_to("a.bin")


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".regather-part" not in str(path)
    }


class Material:
    """What the works begin with, made once."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.original = random_file(base / "f.bin", SIZE)
        self.content = self.original.read_bytes()
        self.sha256 = hashlib.sha256(self.content).hexdigest()
        regather.split(self.original, base / "split", fragments=2, parity=1, piece_size=_PIECE)
        self.manifest = str(base / "split" / "f.bin.regather.json")
        _tree(base / "tree")
        regather.split(base / "tree", base / "packed", fragments=2, parity=1, piece_size=_PIECE)
        self.packed = str(base / "packed" / "tree.regather.json")
        self.tree = _contents(base / "tree")

    def file_wrong(self, folder: Path, outcome: Outcome) -> str:
        """The new file, or nothing."""
        path = folder / "d" / "x"
        if path.exists():
            return "" if path.read_bytes() == self.content else "wrong bytes under the final name"
        return "" if outcome.code else "nothing was written, and the exit code is 0"

    def replaced_wrong(self, folder: Path, outcome: Outcome) -> str:
        """The new file, or the old one."""
        found = (folder / "d" / "x").read_bytes()
        return "" if outcome.code and found == _OLD else self.file_wrong(folder, outcome)

    def stream_wrong(self, folder: Path, outcome: Outcome) -> str:
        """The beginning of the file, or all of it."""
        whole = outcome.output == self.content
        right = whole if not outcome.code else self.content.startswith(outcome.output)
        return "" if right else f"{len(outcome.output)} bytes that are not the file's"

    def folder_wrong(self, folder: Path, outcome: Outcome) -> str:
        """Files of the folder, or all of them."""
        found = _contents(folder / "d" / "x") if (folder / "d" / "x").exists() else {}
        if any(self.tree.get(name) != data for name, data in found.items()):
            return "wrong bytes under a final name"
        ended = outcome.code or found == self.tree
        return "" if ended else "something is missing, and the exit code is 0"

    def hosted_wrong(self, folder: Path, outcome: Outcome) -> str:
        """Whatever manifest stands there, its file can be had from what stands there."""
        manifests = below(folder / "d", ".regather.json")
        if not outcome.code and not manifests:
            return "there is no manifest, and the exit code is 0"
        for manifest in manifests:
            places = {str(path.parent) for path in below(folder / "d", ".dat")}
            report = regather.check(str(manifest), servers=sorted(places), read_data=1.0)
            if report.lost:
                return "what was written is not whole"
        return ""

    def repaired_wrong(self, folder: Path, outcome: Outcome) -> str:
        """The fragments as they were, and the missing one or nothing."""
        for name in FRAGMENTS:
            path, right = folder / "d" / name, self.base / "split" / name
            if path.exists() and path.read_bytes() != right.read_bytes():
                return f"{name} is wrong"
        return self.hosted_wrong(folder, outcome)

    def half(self, recorder: Recorder) -> Path:
        """A folder with a partial file, of a download that was killed."""
        folder = self.base / "half"
        for name in ("d", "home", "tmp"):
            (folder / name).mkdir(parents=True)
        path = folder / "d" / "x"
        words = ["get", self.manifest, "-o", str(path)]
        recorder.run(words, environment(folder), record=True)
        path.unlink()
        written = [call for call in recorder.calls() if call.name == "pwrite"]
        key = next(call.key for call in written if call.target.endswith(".regather-part"))
        killed = recorder.run(words, environment(folder), Point("pwrite", key, 4, KILL))
        assert killed.returncode == -9
        return folder / "d"


_OLD = b"an older file" * 1000


def _copied(source: Path) -> Callable[[Path], None]:
    def copy(folder: Path) -> None:
        shutil.copytree(source, folder / "d", dirs_exist_ok=True, symlinks=True)

    return copy


@contextmanager
def works(base: Path, recorder: Recorder) -> Iterator[list[Work]]:
    """All of them, and the servers that they need."""
    made = Material(base)
    half = made.half(recorder)
    split_names = ["out/f.bin.regather.json", *(f"out/{name}" for name in FRAGMENTS)]
    token = base / "write.txt"
    token.write_text("secret")

    def older(folder: Path) -> None:
        (folder / "d" / "x").write_bytes(_OLD)

    def get(*sources: str) -> Callable[[Path], list[str]]:
        return lambda folder: ["get", *sources, "-o", str(folder / "d" / "x")]

    def damaged(folder: Path) -> None:
        _copied(base / "split")(folder)
        (folder / "d" / FRAGMENTS[0]).unlink()

    def folders(folder: Path) -> list[str]:
        return [str(folder / "d" / name) for name in ("1", "2")]

    def uploads(folder: Path) -> list[str]:
        above = f"{store.url}{folder.relative_to(base)}/d"
        return [f"{above}/1/", f"{above}/2/", "--token", f"127.0.0.1={token}"]

    def publish(targets: Callable[[Path], list[str]]) -> Callable[[Path], list[str]]:
        def arguments(folder: Path) -> list[str]:
            first, second, *more = targets(folder)
            return [
                *("publish", str(made.original), "--to", first, "--to", second, *more),
                *("--fragments", "1", "--parity", "1"),
            ]

        return arguments

    with Hosting() as hosting:
        store = hosting.serve(base, tokens=Tokens(write="secret"))
        mirrors = [f"{hosting.serve(base).url}f.bin" for _ in range(2)]
        yield [
            CommandWork("get", ["x"], get(made.manifest), made.file_wrong),
            CommandWork(
                "get by force", ["x"], get(made.manifest, "--force"), made.replaced_wrong, older
            ),
            CommandWork("get, resumed", ["x"], get(made.manifest), made.file_wrong, _copied(half)),
            CommandWork(
                "get from mirrors",
                ["x"],
                get(*mirrors, "--sha256", made.sha256),
                made.file_wrong,
            ),
            CommandWork(
                "get a folder",
                ["x/a.bin", "x/deep/b.bin", "x/empty", "x/link"],
                get(made.packed),
                made.folder_wrong,
            ),
            CommandWork(
                "get to a pipe",
                [],
                lambda folder: ["get", made.manifest, "-o", "-"],
                made.stream_wrong,
            ),
            CommandWork(
                "split",
                split_names,
                lambda folder: [
                    *("split", str(made.original), "--out", str(folder / "d" / "out")),
                    *("--fragments", "2", "--parity", "1"),
                ],
                made.hosted_wrong,
                refuses=True,
            ),
            CommandWork(
                "split a folder",
                ["out/file_fragment_1.dat", "out/tree.regather.json"],
                lambda folder: [
                    *("split", str(base / "tree"), "--out", str(folder / "d" / "out")),
                    *("--fragments", "1"),
                ],
                made.hosted_wrong,
                refuses=True,
            ),
            CommandWork("publish", PUBLISHED, publish(folders), made.hosted_wrong),
            CommandWork(
                "publish to a server",
                PUBLISHED,
                publish(uploads),
                made.hosted_wrong,
                durable=False,  # it is the server that waits for its disk
            ),
            CommandWork(
                "repair",
                ["f.bin.regather.json", *FRAGMENTS],
                lambda folder: ["repair", str(folder / "d" / "f.bin.regather.json")],
                made.repaired_wrong,
                damaged,
            ),
            *served(base, made.manifest, made.content),
        ]
