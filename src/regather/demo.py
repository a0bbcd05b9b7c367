"""The main job from end to end on this machine, with servers that fail: what ``demo`` shows."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cluster import Cluster, server_folders
from regather.downloader import DownloadReport, Progress, Settings
from regather.downloader.job_runner import JobRunner
from regather.errors import StorageError, UsageError, VerificationError
from regather.generator import generate
from regather.names import MANIFEST_SUFFIX
from regather.sources.jobs import DownloadJob
from regather.splitter import split
from regather.units import counted, format_exact, format_rate, format_size

if TYPE_CHECKING:
    from regather.downloader.live import WatchedDownloads

NAME = "large_file.txt"
DATA = 3
PARITY = 2
SERVERS = DATA + PARITY
_FLAKY = ("--fault", "error:503@0.08", "--fault", "reset@0.08", "--fault", "corrupt@0.02")
_COMPARED = 8 << 20
_WAIT_SECONDS = 20.0
"""How long the download waits until somebody watches its page."""
_SIZES = (500_000_000, 200_000_000, 100_000_000, 50_000_000)

Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None] | None]]
View = AbstractContextManager[Callable[[Progress], None] | None]


def space_for(size: int) -> int:
    """Return the bytes that a demo of a file of this size needs: two copies and the fragments."""
    return size * (2 * DATA + SERVERS) // DATA


def size_for(free: int) -> int:
    """Return the size of file that suits so many free bytes: half of them stay free."""
    return next((size for size in _SIZES if 2 * space_for(size) <= free), _SIZES[-1])


@dataclass(slots=True)
class Demo:
    """One run. ``say`` prints a line, ``bars`` and ``view`` show progress."""

    folder: Path
    size: int
    seed: int
    rate: int
    """Bytes a second that each server is held to, so that there is something to see."""
    say: Callable[[str], None]
    bars: Bars
    view: View
    page: WatchedDownloads | None = None
    """Shows it in a browser."""

    def run(self) -> DownloadReport:
        """Generate, split, serve, download while servers fail, verify; return the report.

        Raises StorageError where there is too little space, and whatever a step raises.
        """
        if self.size < DATA:
            raise UsageError(
                f"{format_size(self.size)} cannot be split into {DATA} fragments",
                help="use a larger --size",
            )
        needed = space_for(self.size)
        if shutil.disk_usage(self.folder).free < needed * 1.02:
            raise StorageError(
                f"{self.folder}: {format_size(needed)} are needed",
                help="free some space, or use --dir, or a smaller --size",
            )
        rng = random.Random(self.seed)
        original = self.folder / NAME
        hosted = self.folder / "hosted"
        self.say("A file is stored on five servers. While it is downloaded, two are killed.\n")
        self._now("writing a file")
        self.say(f"1. Generate {format_exact(self.size)} of English text.")
        with self.bars("writing") as progress:
            generate(original, self.size, on_progress=progress)
        self._now("splitting the file")
        self.say(
            f"2. Split it into {DATA} data fragments and {PARITY} parity fragments, one for each "
            f"server.\n   Any {DATA} of these {SERVERS} fragments are enough."
        )
        with self.bars("splitting") as progress:
            split(
                original,
                hosted,
                fragments=DATA,
                parity=PARITY,
                servers=SERVERS,
                sync=False,
                on_progress=progress,
            )
        *doomed, flaky = rng.sample(range(SERVERS), 3)
        held = ("--fault", f"slow:{self.rate}", "--fault-seed", str(self.seed))
        arguments = [held + (_FLAKY if n == flaky else ()) for n in range(SERVERS)]
        with Cluster(server_folders(hosted), arguments=arguments) as cluster:
            self.say(f"3. Start the servers, each limited to {format_rate(self.rate)}.")
            for n, url in enumerate(cluster.urls):
                odd = f"  fails at random (seed {self.seed})" if n == flaky else ""
                self.say(f"   server {n + 1}  {url}{odd}")
            self._now("waiting for a browser")
            if self.page is not None:
                self.say(f"   waits up to {_WAIT_SECONDS:.0f} s for a browser to open the page")
                self.page.wait_for_reader(_WAIT_SECONDS)
            self._now("downloading")
            self.say("4. Download from all of them at once.")
            moments = sorted(rng.uniform(0.2, 0.6) for _ in doomed)
            killed: list[int] = []
            with self.view as show:

                def watch(progress: Progress) -> None:
                    if show is not None:
                        show(progress)
                    if self.page is not None:
                        self.page.progress(progress)
                    while len(killed) < len(doomed) and (
                        progress.done >= moments[len(killed)] * self.size
                    ):
                        victim = doomed[len(killed)]
                        killed.append(victim)
                        cluster.members[victim].kill()

                job = DownloadJob(
                    (str(hosted / (NAME + MANIFEST_SUFFIX)),),
                    self.folder / "recombined_large_file.dat",
                    servers=tuple(cluster.urls),
                )
                settings = Settings(no_proxy="*")  # they are all on this machine
                report = JobRunner(settings, on_progress=watch, watcher=self.page).run(job)
            for victim, moment in zip(doomed, moments, strict=True):
                self.say(f"   Server {victim + 1} was killed at {moment:.0%}.")
            self.say(f"   {counted(report.decoded, 'row')} computed from parity.")
        self.say("5. Compare with the original.")
        self._verify(original, Path(report.path))
        return report

    def _now(self, activity: str) -> None:
        if self.page is not None:
            self.page.activity = activity

    def _verify(self, original: Path, copy: Path) -> None:
        """Compare byte for byte: independent of every hash."""
        if original.stat().st_size != copy.stat().st_size:
            raise VerificationError("the copy and the original differ in length")
        with (
            original.open("rb") as a,
            copy.open("rb") as b,
            self.bars("comparing") as progress,
        ):
            done = 0
            while left := a.read(_COMPARED):
                if left != b.read(_COMPARED):
                    raise VerificationError(f"the copy differs within {_COMPARED} bytes of {done}")
                done += len(left)
                if progress:
                    progress(done, self.size)
