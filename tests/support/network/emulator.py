"""The process that carries packets between two TUN devices; its one argument is JSON.

That has the file descriptors of the devices, ``fds``, and the ``settings`` of the link. It runs
until its standard input ends, and then writes a line of JSON: what it carried, and how late.

One process a link, so that links do not disturb each other. While there is much to do it works in
ticks of a millisecond: what has come is read, what is due is delivered, and then it sleeps. That
keeps its use of the processor small, and a tick is far below the delays that it is for.
"""

from __future__ import annotations

import gc
import json
import os
import select
import sys
import time
from dataclasses import asdict

from tests.support.network.line import Line, LinkSettings

READY = "ready"
"""The first line it writes."""
TICK = 0.001
_BATCH = 512
"""Packets that are read from one device before the other is looked at."""
_FEW = 3
"""As many packets at once are no flow: what answers them is looked for at once."""
_LONGEST = 65536


class _Lateness:
    """How much later than they should packets were delivered, in seconds."""

    def __init__(self) -> None:
        self.total = 0.0
        self.most = 0.0


def forward(first: int, second: int, settings: LinkSettings) -> dict[str, object]:
    """Carry packets both ways between two devices until standard input ends; say what was done."""
    control = sys.stdin.fileno()
    there, back = Line(settings, settings.seed * 2), Line(settings, settings.seed * 2 + 1)
    ways = ((first, there, second), (second, back, first))
    late = _Lateness()
    clock = time.monotonic
    while True:
        pause = None
        for _, line, _ in ways:
            if line.flying:
                wait = max(0.0, line.flying[0][0] - clock())
                pause = wait if pause is None else min(pause, wait)
        readable, _, _ = select.select((first, second, control), (), (), pause)
        if control in readable and not os.read(control, 1):
            break
        began = clock()
        taken = sum(_take(source, line, began) for source, line, _ in ways if source in readable)
        for _, line, target in ways:
            if line.flying:
                _deliver(line, target, clock(), late)
        if taken > _FEW:
            time.sleep(max(0.0, began + TICK - clock()))
    packets = max(1, there.count.packets + back.count.packets)
    used = os.times()
    return {
        "there": asdict(there.count),
        "back": asdict(back.count),
        "cpu": used.user + used.system,
        "late_mean": late.total / packets,
        "late_most": late.most,
    }


def _take(source: int, line: Line, now: float) -> int:
    """Read what has come, a batch at most; return how many packets that was."""
    for count in range(_BATCH):
        try:
            packet = os.read(source, _LONGEST)
        except OSError:  # nothing more, or the device is down
            return count
        line.enter(packet, now)
    return _BATCH


def _deliver(line: Line, target: int, now: float, late: _Lateness) -> None:
    """Write what is due, or will be within half a tick: neither late nor early on average."""
    flying, count = line.flying, line.count
    until = now + TICK / 2
    while flying and flying[0][0] <= until:
        due, packet = flying.popleft()
        try:
            os.write(target, packet)
        except OSError:  # the device is down
            count.lost += 1
            continue
        count.packets += 1
        count.carried += len(packet)
        late.total += now - due
        late.most = max(late.most, now - due)


def main() -> None:
    """Run the link of ``sys.argv``."""
    told = json.loads(sys.argv[1])
    gc.disable()  # nothing here is cyclic, and a collection would be a pause
    try:  # to be on time whatever else runs: it needs a small share of one processor
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        pass
    first, second = told["fds"]
    print(READY, flush=True)
    print(json.dumps(forward(first, second, LinkSettings(**told["settings"]))), flush=True)


if __name__ == "__main__":
    main()
