"""Where to publish to: base URLs of servers that take files, and folders."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from regather.errors import UsageError, system_errors
from regather.folder import Folder
from regather.manifest import Manifest
from regather.publisher.report import TargetState
from regather.schemes import HTTP, PORTS
from regather.sources.addresses import target_base
from regather.transport import RequestFailed, is_url, locate
from regather.transport.stores.open import open_store
from regather.transport.stores.retrying import Found, RetryingStore, RetryPolicy
from regather.units import counted


@dataclass(slots=True)
class PublishTarget:
    """One place that takes fragments: what stands there, and what became of it. Sizes in bytes."""

    url: str
    """A base URL or a folder, with a slash at its end."""
    policy: RetryPolicy = field(repr=False)

    found: dict[int, Found] = field(default_factory=dict)
    """What the survey found, by position; only the fragments that it looked for."""
    manifest: Literal["none", "same", "other"] = "none"
    """Whether there is one under our name, and whether of this very file, cut like this."""
    version_of: str = ""
    """The name of the file that another manifest there is of."""
    document: Manifest | None = None
    """The manifest, where it is the same."""
    raw: bytes = b""
    signature: bytes = b""
    """What stands beside the manifest; empty: nothing."""
    unreachable: RequestFailed | None = None
    """Why the survey could not look at it."""

    placed: set[int] = field(default_factory=set)
    """Fragments that stand there, whole and right."""
    uploaded: int = 0
    present: int = 0
    state: TargetState = "complete"
    error: str = ""

    @property
    def remote(self) -> bool:
        """Whether it is reached over the network, and may stand in a manifest."""
        return is_url(self.url)

    @property
    def failed(self) -> bool:
        """Whether it did not answer, or refuses: it counts as lost, with all that stands there."""
        return self.state == "failed"

    @property
    def trouble(self) -> str:
        """Its error as a line, or empty."""
        full = "full: " if self.state == "full" else ""
        error = self.error.removeprefix(self.url).removeprefix(": ")
        return f"{self.url}: {full}{error}" if error else ""

    def locate(self, name: str) -> str:
        """The URL or path of an object there."""
        return locate(self.url, name)

    def open(self) -> RetryingStore:
        """A connection to its store, for one thread."""
        return RetryingStore(self.url, self.policy)


def at_each(
    targets: Sequence[PublishTarget], work: Callable[[PublishTarget], object]
) -> list[tuple[PublishTarget, RequestFailed]]:
    """Do it at all targets at once; returns those that do not respond or refuse, and why."""
    failed: dict[int, RequestFailed] = {}

    def attempt(number: int) -> None:
        try:
            work(targets[number])
        except RequestFailed as error:
            failed[number] = error

    if targets:
        targets[0].policy.scope.run(attempt, range(len(targets)), "target")
    return [(targets[number], failed[number]) for number in sorted(failed)]


def targets_of(given: Sequence[str | Path], policy: RetryPolicy) -> list[PublishTarget]:
    """Read what the user names: URL, HOST:PORT or folder (made when needed). Raises UsageError."""
    if not given:
        raise UsageError("no target to publish to", help="give servers or folders with --to")
    targets: list[PublishTarget] = []
    seen: set[str] = set()
    for text in map(str, given):
        if not text:
            raise UsageError("an empty --to", help="give a URL, HOST:PORT or a folder")
        if text.isdecimal() and not os.path.exists(text):
            raise UsageError(
                f"{text}: a port without a host, or a folder that does not exist",
                help=f"write HOST:PORT, for example 127.0.0.1:{text}, or ./{text}",
            )
        target = PublishTarget(target_base(text), policy)
        open_store(target.url, policy.options).close()  # checks the address; opens nothing
        with system_errors(UsageError, text):  # the current folder was removed
            key = target.url.lower() if target.remote else os.path.realpath(target.url)
        if key in seen:
            raise UsageError(f"{text}: is given twice", help="give each target once")
        seen.add(key)
        targets.append(target)
    return targets


def warnings_of(targets: Sequence[PublishTarget]) -> list[str]:
    """What is odd about the targets together, a line each."""
    servers: list[_TargetHost] = []
    for server in (_host_of(target.url) for target in targets if target.remote):
        if known := next((s for s in servers if server.is_one_with(s)), None):
            known.count += 1
        else:
            servers.append(server)
    lines = [
        f"{server.count} targets are on {server.name}: a failure of that host loses both"
        for server in servers
        if server.count > 1
    ]
    folders = sum(not t.remote for t in targets)
    if 0 < folders < len(targets):
        lines.append(
            "a manifest cannot name folders: to download by URL, use --server for the fragments "
            "in folders"
        )
    return lines


@dataclass(slots=True)
class _TargetHost:
    """What a target is on."""

    name: str
    addresses: frozenset[tuple[str, int]]
    """As far as its name says: two names may be of one server."""
    count: int = 1
    """How many targets are on it."""

    def is_one_with(self, other: _TargetHost) -> bool:
        return self.name == other.name or bool(self.addresses & other.addresses)


def _host_of(url: str) -> _TargetHost:
    parts = urlsplit(url)
    found: frozenset[tuple[str, int]] = frozenset()
    if parts.scheme in HTTP and parts.hostname:
        port = parts.port or PORTS[parts.scheme]
        with contextlib.suppress(OSError, UnicodeError):  # only a proxy may know the name
            infos = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
            found = frozenset((str(address[0]), port) for *_, address in infos)
    return _TargetHost(parts.netloc.lower(), found)


def warnings_of_folder(folder: Folder | None) -> list[str]:
    """What is odd about a folder that is published, a line each."""
    clashes = list(folder.clashes()) if folder is not None else []
    if not clashes:
        return []
    return [
        f"{clashes[0][0]!r} and {clashes[0][1]!r}"
        + (f", and {counted(len(clashes) - 1, 'more pair')}," if len(clashes) > 1 else "")
        + " are the same name on systems that ignore case: the folder cannot be restored there"
    ]


def check_source_is_safe(
    source: Path, targets: Sequence[PublishTarget], names: Sequence[str]
) -> None:
    """Raise UsageError where the file to publish has the place of something to be stored."""
    for target in targets:
        if target.remote or source.name not in names:
            continue
        path = Path(target.url) / source.name
        if path.exists() and path.samefile(source):
            raise UsageError(
                f"{path}: is the file to publish; a fragment would replace it",
                help="publish to another folder",
            )
