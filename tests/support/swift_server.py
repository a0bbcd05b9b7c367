"""Run by the Python of .venv-stores: Swift's servers, all of them children of this process.

What takes long is to import Swift: it is done once, and each server begins as a fork. ``FOLDER``
is the only argument. Lines of standard input are orders, each answered with a line, ``ok`` or what
is wrong:

    rings PORTS          write the rings (which node has what), PORTS being a JSON list of
                         {"account": N, "container": N, "object": N}, one a node
    start KIND NAME      be the server KIND with the configuration NAME.conf
    kill NAME            at once
    look                 whether all that were started still run
    quit                 kill all servers and end; without an answer

When the input ends, it is as after ``quit``; but it does not end while a process that was forked
meanwhile holds the other end of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import signal
import sys
import traceback
from pathlib import Path

KINDS = ("account", "container", "object")


class Farm:
    """The servers."""

    def __init__(self, folder: str) -> None:
        from swift.common.storage_policy import reload_storage_policies
        from swift.common.utils import set_swift_dir

        self._folder = folder
        self._children: dict[str, int] = {}
        set_swift_dir(folder)  # Swift looks into /etc by itself
        reload_storage_policies()
        for module in ("account", "container", "obj", "proxy"):
            __import__(f"swift.{module}.server")

    def rings(self, ports: str) -> str:
        """Three copies of everything, one a node."""
        from swift.common.ring import RingBuilder

        nodes = json.loads(ports)
        for kind in KINDS:
            builder = RingBuilder(6, len(nodes), 0)
            for number, node in enumerate(nodes, 1):
                place = {"ip": "127.0.0.1", "port": node[kind]}
                place |= {f"replication_{key}": value for key, value in place.items()}
                device = {"region": 1, "zone": number, "device": f"d{number}", "weight": 1.0}
                builder.add_dev(device | place | {"meta": ""})
            builder.rebalance(seed=1)
            builder.get_ring().save(f"{self._folder}/{kind}.ring.gz")
        return "ok"

    def start(self, kind: str, name: str) -> str:
        """Fork a server."""
        child = os.fork()
        if child:
            self._children[name] = child
            return "ok"
        log = os.open(f"{self._folder}/{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, descriptor in enumerate((nothing, log, log)):
            os.dup2(descriptor, number)
        program = Path(sys.executable).with_name(f"swift-{kind}-server")
        sys.argv = [str(program), f"{self._folder}/{name}.conf"]
        try:
            runpy.run_path(str(program), run_name="__main__")
        except BaseException:
            traceback.print_exc()
        os._exit(1)

    def kill(self, name: str) -> str:
        """Kill a server, and wait until it is gone."""
        child = self._children.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        return "ok"

    def look(self) -> str:
        """Name a server that ended by itself."""
        for name, child in self._children.items():
            if os.waitpid(child, os.WNOHANG)[0]:
                return f"{name} ended"
        return "ok"

    def end(self) -> None:
        """Kill all."""
        for name in list(self._children):
            self.kill(name)


def main() -> None:
    """Carry out orders."""
    farm = Farm(sys.argv[1])
    try:
        print("ok", flush=True)
        for line in sys.stdin:
            order, *words = line.split()
            if order == "quit":
                break
            print(getattr(farm, order)(*words), flush=True)
    finally:
        farm.end()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the tests end us
    main()
