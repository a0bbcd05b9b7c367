"""Small requests before the download proper: many at once, and called off at any moment.

They run in threads of their own, so that the caller's thread is free to hear of a stop or of
Ctrl-C, whatever the network does: a look-up of a name, for one, cannot be interrupted.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from msgspec import Struct

from regather.backoff import PROBES
from regather.errors import InterruptedDownload
from regather.logs import Logger
from regather.schemes import STORES, scheme_of
from regather.tasks import Thread, interrupts_held
from regather.transport import (
    Askable,
    Failure,
    Look,
    RequestFailed,
    TransportOptions,
    open_connection,
)
from regather.transport.ranges import read_range

if TYPE_CHECKING:
    from regather.sources.signed import TrustRules

_MOST_AT_ONCE = 16
_LOOK_SECONDS = 0.1
_JOIN_SECONDS = 2.0
"""How long to wait for threads that are called off; one may hang in a name look-up."""
FEW_RETRIES = 3
"""The most for a manifest: whoever mistyped its address should not wait for long."""
GOES_ON = "the same command resumes"

Reply = TypeVar("Reply")

_log = Logger("regather.probing")


class Probe(Struct):
    """One request, as the caller's thread sees it."""

    url: str
    state: Literal["idle", "active", "waiting", "failed"] = "idle"
    failures: int = 0
    """In a row."""
    last_error: str = ""
    again_at: float = 0.0
    """When it is asked again (monotonic), while it waits."""


class Prober:
    """How to ask: with which options, and what ends it."""

    def __init__(
        self,
        options: TransportOptions,
        trust: TrustRules | None,
        *,
        retries: int = FEW_RETRIES,
        stop: threading.Event | None = None,
        watch: Callable[[Sequence[Probe]], None] | None = None,
    ) -> None:
        """``trust`` says which manifests must be signed, None: none of them.

        ``retries`` are those of what failed for a while only, after pauses that grow.

        ``watch`` is called about ten times a second in the caller's thread.
        """
        self._options = options
        self.trust = trust
        self._retries = retries
        self._stop = stop
        self._watch = watch

    @property
    def patience(self) -> float:
        """Seconds after which nothing is asked again."""
        return self._options.timeout

    def check(self, url: str) -> None:
        """Raise UsageError where a source that the user named is set up wrongly."""
        if scheme_of(url) in STORES:
            from regather.transport.objects.clients import check

            check(url, self._options)

    def one(self, url: str, ask: Callable[[Askable, str], Reply]) -> Reply:
        """Ask one URL; it is not asked again later than the time-out after the first time.

        Raises RequestFailed or InterruptedDownload.
        """
        answer = self.all([url], ask, self._options.timeout)[0]
        if isinstance(answer, RequestFailed):
            raise answer
        return answer

    def document(self, url: str, most: int, look: Look | None = None) -> tuple[bytes, str]:
        """A document of at most ``most`` bytes, and its URL after redirects.

        What came with a first ``look`` at it is not fetched again. Raises RequestFailed or
        InterruptedDownload.
        """
        size = look.size if look is not None else None
        if look is not None and size is not None and size <= most and look.heads:
            start, validator = look.start[:size], look.validator
            try:
                rest = b""
                if len(start) < size:
                    rest = self.one(url, partial(_range, len(start), size, validator))
                return start + rest, look.heads[-1][0]
            except RequestFailed:
                pass  # it may have changed
        return self.one(url, lambda c, u: c.fetch(u, most))

    def all(
        self,
        urls: Sequence[str],
        ask: Callable[[Askable, str], Reply],
        patience: float = math.inf,
        *,
        again: bool = True,
        grace: float | None = None,
    ) -> list[Reply | RequestFailed]:
        """Call ``ask`` with a connection for each URL; return the answers or errors, in order.

        Nothing is asked again more than ``patience`` seconds after the first time, and nothing at
        all without ``again``. With ``grace``, it is enough that one has answered: the others get
        so many seconds more, and those that have failed already none. Raises InterruptedDownload
        on a stop or Ctrl-C, at once, after breaking off what is under way.
        """
        round_ = _ProbeRound(self._options, self._retries if again else 0, patience, urls, ask)
        try:
            self._wait_for(round_, grace)
        except KeyboardInterrupt:
            raise InterruptedDownload(
                "interrupted before the download began", help=GOES_ON
            ) from None
        return round_.answers()

    def _wait_for(self, round_: _ProbeRound[Reply], grace: float | None) -> None:
        with interrupts_held() as interrupts:
            try:
                round_.start()
                while round_.wait(_LOOK_SECONDS):
                    interrupts.check()
                    if self._stop is not None and self._stop.is_set():
                        raise InterruptedDownload("stopped before the download began", help=GOES_ON)
                    if self._watch is not None:
                        self._watch(round_.asked)
                    if grace is not None and round_.enough(grace):
                        break
            finally:
                round_.call_off()


class _ProbeRound(Generic[Reply]):
    """Requests under way: a few threads that take the next URL until none is left."""

    def __init__(
        self,
        options: TransportOptions,
        retries: int,
        patience: float,
        urls: Sequence[str],
        ask: Callable[[Askable, str], Reply],
    ) -> None:
        self._options = options
        self._retries = retries
        self._patience = patience
        self._ask = ask
        self.asked = [Probe(url) for url in urls]
        self._answers: dict[int, Reply | RequestFailed] = {}
        self._next = iter(range(len(urls)))
        self._lock = threading.Lock()
        self._open: set[Askable] = set()
        self._ended = threading.Event()
        self._first: float | None = None
        """When the first good answer came."""
        self._error: BaseException | None = None
        self._threads = [
            Thread(self._work, name=f"regather-probe-{n}", daemon=True)
            for n in range(min(_MOST_AT_ONCE, len(urls)))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait that long or until all is answered; whether something is still under way."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return any(thread.is_alive() for thread in self._threads)

    def enough(self, grace: float) -> bool:
        """Whether there is an answer, and no reason to wait longer for the others."""
        if self._first is None:
            return False
        late = time.monotonic() - self._first > grace
        return late or all(n in self._answers or a.failures for n, a in enumerate(self.asked))

    def call_off(self) -> None:
        """Break off what is under way."""
        self._ended.set()
        until = time.monotonic() + _JOIN_SECONDS
        while time.monotonic() < until:
            with self._lock:
                under_way = list(self._open)
            for connection in under_way:
                # Again and again: it reaches a connection only while that has a socket.
                connection.abort()
            if not any(thread.ident and thread.is_alive() for thread in self._threads):
                break
            time.sleep(0.01)

    def answers(self) -> list[Reply | RequestFailed]:
        """The answers in the order of the URLs; raises what went wrong in a thread."""
        if self._error is not None:
            raise self._error
        return [self._answers.get(n, _late(asked)) for n, asked in enumerate(self.asked)]

    def _work(self) -> None:
        try:
            while not self._ended.is_set():
                with self._lock:
                    number = next(self._next, None)
                if number is None:
                    return
                answer = self._answer(self.asked[number])
                if self._first is None and not isinstance(answer, RequestFailed):
                    self._first = time.monotonic()
                if not self._ended.is_set():
                    self._answers[number] = answer
        except BaseException as error:
            self._error = self._error or error
            self._ended.set()

    def _answer(self, asked: Probe) -> Reply | RequestFailed:
        until = time.monotonic() + self._patience
        while True:
            connection = open_connection(asked.url, self._options)
            with self._lock:
                self._open.add(connection)
            if not asked.failures:
                asked.state = "active"
            try:
                answer = self._ask(connection, asked.url)
                asked.state = "idle"
                return answer
            except RequestFailed as failed:
                error = failed
            finally:
                with self._lock:
                    self._open.discard(connection)
                connection.close()
            if self._ended.is_set():
                return error  # broken off: no failure of its own
            asked.failures += 1
            _log.info("%s", error.what)
            asked.last_error = error.what
            told = error.retry_after if error.failure is Failure.BUSY else None
            pause = PROBES.wait(asked.failures - 1, told)
            enough = asked.failures > self._retries or time.monotonic() + pause > until
            if error.failure.lasting or enough:
                asked.state = "failed"
                return error
            asked.again_at = time.monotonic() + pause
            asked.state = "waiting"
            if self._ended.wait(pause):
                return error


def _range(start: int, size: int, validator: str, connection: Askable, url: str) -> bytes:
    return b"".join(map(bytes, read_range(connection, url, start, size, size, validator)))


def _late(asked: Probe) -> RequestFailed:
    return RequestFailed(Failure.TIMEOUT, asked.last_error or f"{asked.url}: no response in time")
