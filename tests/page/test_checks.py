"""Checks that somebody starts from the page."""

from __future__ import annotations

import threading

from regather.page.checks import Checked, Checks
from tests.support.net import PATIENCE, wait_until


def test_one_check_runs_at_a_time() -> None:
    ran: list[int] = []
    go = threading.Event()

    def check() -> list[Checked]:
        ran.append(len(ran))
        go.wait(PATIENCE)
        return []

    checks = Checks(check)
    for _ in range(3):
        checks.start()
    wait_until(lambda: bool(ran))
    assert checks.document()["running"]
    go.set()
    wait_until(lambda: not checks.document()["running"])
    assert ran == [0]
    checks.start()
    wait_until(lambda: not checks.document()["running"])
    assert ran == [0, 1]
