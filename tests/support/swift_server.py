"""Run by the Python of .venv-stores: what of Swift needs its own packages.

rings FOLDER PORTS   write the rings (which node has what) of nodes at these ports, a JSON list of
                     one {"account": N, "container": N, "object": N} a node
serve FOLDER KIND NAME   be the server KIND with the configuration NAME.conf, until killed
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

KINDS = ("account", "container", "object")


def rings(folder: str, nodes: list[dict[str, int]]) -> None:
    """Three copies of everything, one a node."""
    from swift.common.ring import RingBuilder

    for kind in KINDS:
        builder = RingBuilder(6, len(nodes), 0)
        for number, ports in enumerate(nodes, 1):
            place = {"ip": "127.0.0.1", "port": ports[kind]}
            place |= {f"replication_{key}": value for key, value in place.items()}
            builder.add_dev(
                {"region": 1, "zone": number, "device": f"d{number}", "weight": 1.0, "meta": ""}
                | place
            )
        builder.rebalance(seed=1)
        builder.get_ring().save(f"{folder}/{kind}.ring.gz")


def serve(folder: str, kind: str, name: str) -> None:
    """Swift's own program, told where its configuration is: it looks into /etc by itself."""
    from swift.common.storage_policy import reload_storage_policies
    from swift.common.utils import set_swift_dir

    set_swift_dir(folder)
    reload_storage_policies()
    program = Path(sys.executable).with_name(f"swift-{kind}-server")
    sys.argv = [str(program), f"{folder}/{name}.conf"]
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    command, where, *rest = sys.argv[1:]
    if command == "rings":
        rings(where, json.loads(rest[0]))
    else:
        serve(where, *rest)
