"""Counts of what a server does, in the shape that monitoring collects.

Nothing here depends on a library: whoever has counts of its own gives them as families.
"""

from __future__ import annotations

import bisect
import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from aiohttp import hdrs, web

from regather._version import __version__
from regather.server.access_log import BodyResponse, bytes_sent

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 600.0)
"""Seconds: the upper bounds of the classes of a histogram."""
_METHODS = frozenset((hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_PUT, hdrs.METH_DELETE))
Aborted = Literal["client_gone", "client_stalled", "no_source", "stopping"]
"""Why an answer ended before its end; ``no_source``: its content could not be had."""


@dataclass(slots=True)
class Histogram:
    """How many durations fell into each class."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


Labels = tuple[str, ...]
"""The values of labels, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Family:
    """All values under one name. The name of a counter has no ``_total``: that is appended."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Mapping[Labels, float | Histogram]
    labels: Labels = ()


class Tallied(Protocol):
    """Whatever has counts."""

    def families(self) -> Iterable[Family]:
        """Its counts now. The values of each label are few, and no client chooses them."""


def single(value: float) -> dict[Labels, float]:
    """The samples of a family without labels."""
    return {(): value}


@dataclass
class RequestTallies:
    """What happened to the requests of one server, by the kind of address."""

    requests: Counter[Labels] = field(default_factory=Counter)
    """By kind, method and status."""
    in_flight: Counter[Labels] = field(default_factory=Counter)
    sent: Counter[Labels] = field(default_factory=Counter)
    """Bytes of bodies."""
    first_byte: dict[Labels, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    duration: dict[Labels, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    aborted: Counter[Labels] = field(default_factory=Counter)
    _answers: dict[int, web.StreamResponse] = field(default_factory=dict)
    """By the identity of a request, its answer once that has begun."""

    def abort(self, why: Aborted) -> None:
        """Count an answer that ended before its end."""
        self.aborted[(why,)] += 1

    @contextlib.contextmanager
    def handling(self, request: web.BaseRequest, kind: str) -> Iterator[None]:
        """Count a request in the ``with`` body, and its answer, also one that broke off."""
        began = time.monotonic()
        self.in_flight[(kind,)] += 1
        try:
            yield
        except Exception:  # a flaw of ours: aiohttp answers so, unless the answer has begun
            self._answers.setdefault(id(request), web.Response(status=500))
            raise
        finally:
            self.in_flight[(kind,)] -= 1
            response = self._answers.pop(id(request), None)
            if response is not None:
                self._count(request, response, kind, began)

    def begun(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Tell the answer to a request that is handled now, however it ends."""
        self._answers[id(request)] = response

    def _count(
        self, request: web.BaseRequest, response: web.StreamResponse, kind: str, began: float
    ) -> None:
        now = time.monotonic()
        method = request.method if request.method in _METHODS else "other"
        self.requests[kind, method, str(response.status)] += 1
        self.sent[(kind,)] += bytes_sent(request, response)
        head_at = response.head_at if isinstance(response, BodyResponse) else None
        self.first_byte[(kind,)].add((head_at or now) - began)
        self.duration[(kind,)].add(now - began)

    def families(self) -> Sequence[Family]:
        """See Tallied."""
        by_kind = ("handler",)
        return (
            Family(
                "regather_build_info",
                "gauge",
                "The version that runs; always 1.",
                {(__version__,): 1},
                ("version",),
            ),
            Family(
                "regather_http_requests",
                "counter",
                "Requests answered, by kind of address, method and status.",
                self.requests,
                ("handler", "method", "code"),
            ),
            Family(
                "regather_http_requests_in_flight",
                "gauge",
                "Requests being answered now.",
                self.in_flight,
                by_kind,
            ),
            Family(
                "regather_http_response_bytes",
                "counter",
                "Bytes of bodies that were sent.",
                self.sent,
                by_kind,
            ),
            Family(
                "regather_http_first_byte_seconds",
                "histogram",
                "Seconds from the head of a request to the head of its answer.",
                self.first_byte,
                by_kind,
            ),
            Family(
                "regather_http_request_duration_seconds",
                "histogram",
                "Seconds from the head of a request to the end of its answer.",
                self.duration,
                by_kind,
            ),
            Family(
                "regather_http_aborted",
                "counter",
                "Answers that ended before their end, by reason.",
                self.aborted,
                ("reason",),
            ),
        )
