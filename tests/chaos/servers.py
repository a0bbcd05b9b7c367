"""The servers of a schedule: started, killed, started again on the same port, mended."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Protocol

from regather.errors import RegatherError
from regather.server.faults import FaultKind, decide, parse_fault
from regather.server.run import Server
from tests.chaos.proxy import Proxy
from tests.chaos.schedule import Damage, Schedule, ServerPlan
from tests.server.process import Serve
from tests.support.hosting import Hosting
from tests.support.net import HOST, keep_port, wait_until
from tests.support.nginx import Nginx, find_nginx
from tests.support.small import flip


class Backend(Protocol):
    """A server on a fixed port."""

    def start(self, faults: tuple[str, ...]) -> None: ...
    def kill(self) -> None: ...
    @property
    def up(self) -> bool: ...


class _Own:
    """Our server in this process."""

    def __init__(self, hosting: Hosting, folder: Path, port: int, seed: int) -> None:
        self._hosting, self._folder, self._port, self._seed = hosting, folder, port, seed
        self._server: Server | None = None

    def start(self, faults: tuple[str, ...]) -> None:
        def begin() -> bool:
            with contextlib.suppress(RegatherError):  # the port may take a moment to be free
                self._server = self._hosting.serve(
                    self._folder, faults=faults, seed=self._seed, port=self._port
                )
            return self._server is not None

        wait_until(begin, what=f"port {self._port}")

    def kill(self) -> None:
        if self._server is not None:
            self._hosting.kill(self._server)
        self._server = None

    @property
    def up(self) -> bool:
        return self._server is not None


class _Process:
    """``regather serve``, killed with SIGKILL."""

    def __init__(self, folder: Path, port: int, seed: int) -> None:
        self._folder, self._port, self._seed = folder, port, seed
        self._serve: Serve | None = None

    def start(self, faults: tuple[str, ...]) -> None:
        self.kill()
        words = [word for fault in faults for word in ("--fault", fault)]
        serve = Serve(
            self._folder, "--port", str(self._port), "--fault-seed", str(self._seed), *words
        )
        self._serve = serve.__enter__()

    def kill(self) -> None:
        if self._serve is not None:
            self._serve.__exit__(None, None, None)
        self._serve = None

    @property
    def up(self) -> bool:
        return self._serve is not None and self._serve.process.poll() is None


class _Stock:
    """nginx, killed with SIGKILL."""

    def __init__(self, folder: Path, port: int) -> None:
        self._nginx = Nginx(folder, port=port)
        self.up = False

    def start(self, faults: tuple[str, ...]) -> None:
        assert not faults
        self._nginx.start()
        self.up = True

    def kill(self) -> None:
        self._nginx.kill()
        self.up = False


class Place:
    """One server of a schedule with all that belongs to it."""

    def __init__(
        self, schedule: Schedule, number: int, folder: Path, hosting: Hosting, usual: int
    ) -> None:
        """``folder`` is what it serves, ``usual`` about how many bytes a connection carries."""
        self.plan: ServerPlan = schedule.servers[number]
        self._hosting = hosting
        self._seed = schedule.seed * 10 + number
        # Kept while it is down, too: what is started next may not get it.
        self._kept = [keep_port() for _ in range(2)]
        self._port, front = (kept.getsockname()[1] for kept in self._kept)
        self.url = f"http://{HOST}:{front if self.plan.link else self._port}/"
        self.proxy: Proxy | None = None
        if self.plan.link is not None:
            name = f"{schedule.seed} {number}"
            self.proxy = Proxy(self.plan.link, front, self._port, name, usual=usual)
        self.backend: Backend
        kind = self.plan.kind
        if kind == "nginx" and find_nginx() is None:
            kind = "process"  # the nearest thing to it that is here
        self._asked = kind != "nginx"
        match kind:
            case "own":
                self.backend = _Own(hosting, folder, self._port, self._seed)
            case "process":
                self.backend = _Process(folder, self._port, self._seed)
            case "nginx":
                self.backend = _Stock(folder, self._port)
        self._faults: tuple[str, ...] = ()
        self._calm = False
        self.struck: Counter[str] = Counter()
        """Faults of the server that happened, by kind."""
        self.sent = 0
        """Bytes of bodies that it sent directly, as far as it lived to tell."""

    def start(self) -> None:
        """Start it, or start it again, with what is wrong with it."""
        pace = (f"slow:{self.plan.pace}",) if self.plan.pace and not self._calm else ()
        self._faults = pace if self._calm else (*self.plan.faults, *pace)
        self.backend.start(self._faults)
        if self.proxy is not None and not self.proxy.listening:
            self._hosting.run(self.proxy.start())

    def kill(self) -> None:
        """End it as a crash does."""
        self._ask()
        self.backend.kill()

    def mend(self) -> None:
        """All that was wrong with it is over; it is started unless it is gone."""
        self._calm = True
        if self.proxy is not None:
            self.proxy.calm = True
        self.kill()
        if not self.plan.gone:
            self.start()

    def stop(self) -> None:
        """End it, and its proxy."""
        self.kill()
        if self.proxy is not None:
            self._hosting.run(self.proxy.stop())
            self.struck.update({f"link {kind}": n for kind, n in self.proxy.struck.items()})
            self.sent += self.proxy.relayed
        for kept in self._kept:
            kept.close()

    def _ask(self) -> None:
        """Ask a server of ours what it did. Which faults struck follows from their seed."""
        if not self._asked:
            return
        if not self.backend.up:
            if self.plan.kind == "process" and any(f.startswith("die") for f in self._faults):
                self.struck["server die"] += 1
                self._faults = ()
            return
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self._port}/-/health", timeout=5) as told:
                health = json.load(told)
        except OSError:
            self.struck["server refuse"] += 1
            return
        if self.proxy is None:
            self.sent += health["bytes_sent"]
        faults = [parse_fault(f) for f in self._faults]
        for number in range(health["requests"]):
            fault = decide(faults, self._seed, number, 0.0).fault
            if fault is not None and fault.kind is not FaultKind.DIE:
                self.struck[f"server {fault.kind}"] += 1


def damage(path: Path, what: Damage, piece: int) -> None:
    """Do to a hosted fragment what the schedule says; ``piece`` is the piece size in bytes."""
    match what.kind:
        case "lost":
            path.unlink()
        case "truncated":
            os.truncate(path, path.stat().st_size * 2 // 3)
        case "corrupt":
            for number in what.pieces:
                flip(path, number * piece * 8 + number % 8)
