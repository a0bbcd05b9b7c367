"""The check that a page starts: of the servers of some manifests."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice

from regather.names import name_of_server, without_secrets
from regather.page.checks import Checked, Checks, Finding, FindingState
from regather.page.samples import MOST_FILES
from regather.sources.settings import Settings
from regather.transport import is_url
from regather.upkeep.inspection import check
from regather.upkeep.report import CheckReport, CopyState

_STATES: dict[CopyState, FindingState] = {
    CopyState.OK: "held",
    CopyState.MISSING: "absent",
    CopyState.WRONG_SIZE: "absent",
    CopyState.CORRUPT: "corrupt",
    CopyState.UNREACHABLE: "unreachable",
    CopyState.REFUSED: "unreachable",
}
_MOST_NAMED = 3


def checks(
    manifests: Callable[[], Sequence[str]], servers: Sequence[str], settings: Settings
) -> Checks:
    """Checks for presence and sizes; ``servers`` are those that the manifests do not name."""

    def run() -> list[Checked]:
        some = islice(manifests(), MOST_FILES)
        return [_checked(check(one, servers=servers, settings=settings)) for one in some]

    return Checks(run)


def _checked(report: CheckReport) -> Checked:
    bad = [finding for finding in report.findings if finding.state is not CopyState.OK]
    named = [
        f"{name_of_server(one.source)}: {one.fragment or 'the server'} is {one.state}"
        for one in bad[:_MOST_NAMED]
    ]
    if more := len(bad) - len(named):
        named.append(f"{more} more")
    return Checked(
        report.name,
        report.status,
        "; ".join([report.status, *named]),
        [_url(source) for source in report.sources],
        [Finding(_url(one.source), one.position, _STATES[one.state]) for one in report.findings],
    )


def _url(source: str) -> str:
    """The URL of a server as the page has it."""
    return without_secrets(source if is_url(source) else os.path.join(os.path.abspath(source), ""))
