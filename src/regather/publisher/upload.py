"""The transfer: a queue a target, a few threads each; what one cannot take goes to others."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from regather.engine.rate_limit import RateLimiter
from regather.manifest import Manifest
from regather.publisher.fragment_reader import FragmentReader
from regather.publisher.report import TargetState
from regather.publisher.target_survey import occupied
from regather.publisher.targets import PublishTarget
from regather.publisher.upload_plan import UploadPlan
from regather.transport import Failure, RequestFailed
from regather.transport.stores.retrying import Found, RetryingStore, RetryPolicy

_KEEPING: dict[Failure, TargetState] = {Failure.NO_SPACE: "full", Failure.TOO_LARGE: "limited"}
"""What makes a target take no more, and what it is then; all that stands there is good."""


class Uploads:
    """Brings every fragment to its targets; ends with ``plan`` telling where they are."""

    def __init__(
        self,
        plan: UploadPlan,
        manifest: Manifest,
        targets: Sequence[PublishTarget],
        origin: FragmentReader,
        policy: RetryPolicy,
        *,
        connections: int,
        limiter: RateLimiter | None,
        force: bool,
    ) -> None:
        self._plan = plan
        self._manifest = manifest
        self._layout = manifest.layout
        self._targets = targets
        self._origin = origin
        self._policy = policy
        self._connections = connections
        self._limiter = limiter
        self._force = force
        self._changed = threading.Condition()
        self._active = 0
        self._done = 0
        self._flying: dict[tuple[int, int], int] = {}
        self._queues = [deque(plan.held_by(number)) for number in range(len(targets))]
        for number, target in enumerate(targets):
            if target.unreachable is not None:
                self._lose(number, target.unreachable)

    def run(self, tick: Callable[[], object] | None) -> None:
        """Transfer all; ``tick`` is as in ``run_all``. Raises what ended it early."""
        jobs: list[int] = []
        for number, target in enumerate(self._targets):
            if not target.failed:
                # One without work may get that of another.
                jobs += [number] * min(self._connections, max(len(self._queues[number]), 1))
        self._policy.scope.run(self._work, jobs, "upload", tick)

    def preview(self) -> None:
        """Count what would be sent and what is there already; send nothing."""
        for target, queue in zip(self._targets, self._queues, strict=True):
            for position in queue:
                size = self._manifest.fragments[position].size
                if target.found.get(position) is Found.RIGHT:
                    target.present += size
                else:
                    target.uploaded += size
                target.placed.add(position)

    def lose(self, target: PublishTarget, error: RequestFailed) -> None:
        """A target failed before anything was sent: others take what it should have got."""
        self._lose(self._targets.index(target), error)

    def stored(self) -> int:
        """Bytes at the targets, those that stood there included, and on their way."""
        with self._changed:
            return self._done + sum(self._flying.values())

    def _work(self, number: int) -> None:
        with self._targets[number].open() as store:
            while (fragment := self._next(number)) is not None:
                try:
                    self._carry(store, number, fragment)
                except RequestFailed as error:
                    if error.failure is Failure.ABORTED:
                        return
                    if error.failure is Failure.DAMAGED:
                        self._origin.check_unchanged()
                    with self._changed:
                        self._lose(number, error, fragment)
                finally:
                    with self._changed:
                        self._flying.pop((number, fragment), None)
                        self._active -= 1
                        self._changed.notify_all()

    def _next(self, number: int) -> int | None:
        """The next fragment for a target; None where nothing will come any more."""
        queue, target = self._queues[number], self._targets[number]
        with self._changed:
            while not self._policy.scope.cancelled and target.state == "complete":
                if queue:
                    fragment = queue.popleft()
                    self._active += 1
                    self._flying[number, fragment] = 0
                    return fragment
                if not self._active and not any(self._queues):
                    break
                self._changed.wait(0.25)
            self._changed.notify_all()
            return None

    def _carry(self, store: RetryingStore, number: int, position: int) -> None:
        """Bring one fragment to one target, or see that it is there. Raises RequestFailed."""
        fragment, target = self._manifest.fragments[position], self._targets[number]
        found = target.found.get(position)
        if found is None:
            found = store.look(self._layout, position)
        sent = False
        if found is not Found.RIGHT:
            if found is Found.OTHER and not (self._force or target.manifest == "same"):
                raise occupied({target.url: [fragment.name]})
            self._origin.blake3(position)  # outside of what is tried again
            sent = self._policy.call(
                lambda: self._send(store, number, position, replace=found is Found.OTHER)
            )
        with self._changed:
            if sent:
                target.uploaded += fragment.size
            else:
                target.present += fragment.size
            if not target.failed:
                target.placed.add(position)
                self._done += fragment.size

    def _send(self, store: RetryingStore, number: int, position: int, *, replace: bool) -> bool:
        """Send a fragment and see what landed; False where it stood there before."""
        fragment, target = self._manifest.fragments[position], self._targets[number]
        read = self._origin.reader(position)

        def counted(offset: int, into: memoryview) -> None:
            if self._limiter is not None:
                self._policy.pause(self._limiter.take(len(into)))
            read(offset, into)
            self._flying[number, position] = offset + len(into)

        try:
            store.store.put(
                fragment.name,
                fragment.size,
                counted,
                self._origin.blake3(position),
                replace=replace,
            )
        except RequestFailed as error:
            if error.failure is not Failure.EXISTS:
                raise
            # Ours, where the answer to an attempt before was lost.
            if store.look(self._layout, position) is Found.RIGHT:
                return False
            raise occupied({target.url: [fragment.name]}) from None
        if not target.remote and store.look(self._layout, position) is not Found.RIGHT:
            where = target.locate(fragment.name)
            raise RequestFailed(
                Failure.DAMAGED, f"{where}: the stored file differs from the upload"
            )
        return True

    def _lose(self, number: int, error: RequestFailed, *failed: int) -> None:
        """Let others take what this target cannot; called under the lock."""
        target, queue = self._targets[number], self._queues[number]
        if target.failed:
            return
        target.error = target.error or error.what
        if (state := _KEEPING.get(error.failure)) is not None:
            # What stands there is good; others in flight there may still fit.
            target.state = state
            lost = [*failed, *queue]
        else:
            target.state = "failed"
            lost = self._plan.held_by(number)
            self._done -= sum(self._manifest.fragments[f].size for f in target.placed)
            target.placed.clear()
        queue.clear()
        for fragment, place in self._plan.lose(number, lost):
            self._queues[place].append(fragment)
