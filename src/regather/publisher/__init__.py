"""Publish a file: its fragments to several targets, and the manifest last.

targets          what the user names, and what becomes of each
upload_plan      which target gets what, and how many may be lost
fragment_reader  the bytes of fragments: slices of the file, and parity kept aside
target_survey    what stands at the targets already, of an unfinished run as well
trusted          whose manifests count, and the signature of the new one
upload           the transfer
finish           the manifest, and the report

Memory: what the pass of the splitter takes, then 1 MiB a connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regather.coding.placement import crowding
from regather.engine.rate_limit import RateLimiter
from regather.errors import InterruptedPublish
from regather.names import MANIFEST_SUFFIX, suffixed
from regather.publisher.finish import check_placed, report_of, write_manifests
from regather.publisher.fragment_reader import FragmentReader
from regather.publisher.report import PublishReport, TargetReport
from regather.publisher.target_survey import (
    check_permission,
    earlier_count,
    refuse_to_lose,
    refuse_to_replace,
    survey,
)
from regather.publisher.targets import (
    PublishTarget,
    check_source_is_safe,
    targets_of,
    warnings_of,
    warnings_of_folder,
)
from regather.publisher.trusted import Trusted
from regather.publisher.upload import Uploads
from regather.publisher.upload_plan import UploadPlan
from regather.sources.settings import Settings, transport_options
from regather.splitter import manifest_of
from regather.splitter.geometry import default_fragments, fragment_sizes, layout_of
from regather.splitter.input_file import original_of
from regather.splitter.passes import copy
from regather.transport import Failure, RequestFailed
from regather.transport.stores.retrying import RetryPolicy
from regather.units import counted

if TYPE_CHECKING:
    from regather.trust.secret_key import SecretKey

__all__ = ["PublishReport", "TargetReport", "publish"]

OnBytes = Callable[[int, int], None]
_MOST_CONNECTIONS = 4


def publish(
    path: str | Path,
    to: str | Path | Sequence[str | Path],
    *,
    fragments: int | None = None,
    chunk_size: int | None = None,
    parity: int = 0,
    set_size: int = 0,
    piece_size: int | None = None,
    replicas: int = 1,
    survive: int | None = None,
    force: bool = False,
    follow_links: bool = False,
    dry_run: bool = False,
    sign_with: SecretKey | None = None,
    settings: Settings | None = None,
    on_progress: OnBytes | None = None,
) -> PublishReport:
    """Store the fragments of ``path`` on the targets ``to``, then the manifest on each of them.

    - ``path``: a file, or a folder, which is stored as one packed file (a tar).
    - ``to``: URLs, HOST:PORT (of servers that accept uploads) or folders.
    - ``fragments``, ``chunk_size``, ``parity``, ``set_size``, ``piece_size``: as for ``split``.
      Without the first two, there is one fragment per target, parity included.
    - ``replicas``: the number of targets for each fragment.
    - ``survive``: the number of targets that can fail (default: ``parity`` or ``replicas - 1``,
      whichever is larger). A placement that tolerates fewer is refused before anything is sent,
      unless ``force``.
    - ``force``: also replaces other files with the same names.
    - ``dry_run``: reads the file and checks the targets, but changes nothing. The report contains
      the uploads that would follow.
    - ``follow_links``: publishes the files that links in a folder point to.
    - ``sign_with``: signs the manifest with this key. Sources that an earlier manifest names are
      kept only if the same key, or one of ``settings.trust``, signed it.
    - ``settings``: up to 4 of ``settings.connections`` are used for each target; ``settings.sync``
      is ignored.
    - ``on_progress``: called with the number of bytes done and the total, which is known from the
      start: first the bytes that are read, then also those that are stored.

    The same call resumes: fragments that are complete are read, hashed and not sent again. A
    manifest is written only after all its fragments. Raises UsageError, DestinationExistsError,
    NotPlacedError, StorageError, InterruptedPublish, VerificationError if a manifest at a target is
    not signed by a key of ``settings.trust``, or RegatherError if the file changes.
    """
    path, settings, began = Path(path), settings or Settings(), time.monotonic()
    policy = RetryPolicy(transport_options(settings), settings.retries)
    trusted = Trusted(settings, sign_with, force=force)
    targets = targets_of([to] if isinstance(to, (str, Path)) else to, policy)
    warnings = warnings_of(targets)
    with original_of(path, follow_links=follow_links) as source:
        if fragments is None and chunk_size is None:
            earlier = earlier_count(targets, source.size, parity)
            fragments = earlier or default_fragments(len(targets), parity, source.size)
        sizes = fragment_sizes(source.size, fragments, chunk_size)
        layout = layout_of(source.size, sizes, parity, set_size, piece_size)
        plan = UploadPlan(layout, len(targets), replicas, survive, force=force)
        total = layout.size + plan.load  # all is read once, and then stored
        manifest_name = suffixed(source.name, MANIFEST_SUFFIX)
        for target in targets:
            if not target.remote:
                source.check_outside(Path(target.url))
        check_source_is_safe(path, targets, [manifest_name, *(f.name for f in layout.fragments)])
        origin = FragmentReader(path, source, layout)

        def report(done: int) -> None:
            if on_progress is not None:
                on_progress(min(done, total), total)

        try:
            check_permission(targets, manifest_name)
            hashes, blake3, _ = copy(source, layout, origin, False, lambda done, _: report(done))
            origin.check_unchanged()
            manifest = replace(
                manifest_of(source.name, layout, hashes),
                blake3=blake3,
                folder=source.folder(),
                survives=plan.demanded,
            )
            warnings += warnings_of_folder(manifest.folder)
            if plan.short:
                lost = counted(plan.demanded + plan.short, "target")
                warnings.append(
                    f"force: the file does not survive the loss of {lost}, only of {plan.demanded}"
                )
            survey(targets, plan, manifest, manifest_name, origin, trusted)
            if not force:
                signing = sign_with is not None
                refuse_to_replace(targets, manifest, manifest_name, signing=signing)
            uploads = Uploads(
                plan,
                manifest,
                targets,
                origin,
                policy,
                connections=min(settings.connections, _MOST_CONNECTIONS),
                limiter=RateLimiter(settings.limit_rate) if settings.limit_rate else None,
                force=force,
            )
            replaced = [t for t in targets if t.manifest == "other"]
            if replaced:
                refuse_to_lose(plan, targets)
            for target in replaced:
                if not (target.failed or dry_run) and (error := _remove(target, manifest_name)):
                    uploads.lose(target, error)
            if dry_run:
                uploads.preview()
            else:
                uploads.run(lambda: report(layout.size + uploads.stored()))
            origin.check_unchanged()
            check_placed(plan, targets, manifest, replaced=bool(replaced))
            if crowded := crowding(layout, plan.holders, len(targets), "target"):
                warnings.append(crowded)
            manifests = write_manifests(
                plan, manifest, manifest_name, targets, trusted, dry_run=dry_run
            )
        except KeyboardInterrupt:
            raise InterruptedPublish(
                "interrupted: stored fragments are kept",
                help="the same command resumes",
            ) from None
        finally:
            policy.scope.cancel()
            origin.close()
    seconds = time.monotonic() - began
    return report_of(plan, manifest, targets, manifests, warnings, seconds=seconds, dry_run=dry_run)


def _remove(target: PublishTarget, name: str) -> RequestFailed | None:
    """Remove a manifest, which would promise fragments that are about to be replaced.

    Returns why that was not possible.
    """
    try:
        with target.open() as store:
            store.delete(name)
    except RequestFailed as error:
        return None if error.failure is Failure.MISSING else error
    return None
