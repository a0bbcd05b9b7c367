"""The destination: preallocated beside its final name, filled in place, renamed when whole.

Nothing is ever written that has not been verified, and nothing stands under the final name
before every piece is there and synced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from regather.errors import (
    DestinationExistsError,
    RegatherError,
    StorageError,
    UsageError,
    is_fault_here,
    of_system,
    reason,
)
from regather.files.platform import (
    check_space,
    cut_to,
    is_named,
    open_own,
    preallocate,
    publish,
    read_all,
    sync_folder,
    write_all,
)
from regather.model import Layout
from regather.names import MAX_NAME_BYTES, suffixed
from regather.store.base import PartialDownload
from regather.store.journal import Journal
from regather.store.pieces import matching

PART_SUFFIX = ".regather-part"
JOURNAL_SUFFIX = ".regather-part-journal"
_IN_THE_WAY = frozenset((errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EPERM))
"""What stands where a partial or a journal belongs is not ours."""


class Destination(PartialDownload):
    """One file being downloaded."""

    def __init__(self, path: Path, layout: Layout, identity: bytes, *, force: bool = False) -> None:
        """Check that ``path`` can be written and open the partial file.

        ``identity`` tells downloads of different content apart (32 bytes). Raises
        DestinationExistsError unless ``force``, UsageError where the folder is no good, and
        StorageError where the disk is full or another process downloads to the same path.
        """
        super().__init__(path, layout, force=force)
        self.part = path.with_name(suffixed(path.name, PART_SUFFIX))
        self._journal_path = path.with_name(suffixed(path.name, JOURNAL_SUFFIX))
        check_destination(path, force=force)
        try:
            self._journal = Journal(str(self._journal_path), layout, identity)
        except OSError as error:
            raise self._trouble(error) from error
        try:
            self._open_part()
        except BaseException:
            self._journal.close()
            raise

    def _open_part(self) -> None:
        fresh = self._journal.empty
        self._descriptor = -1
        try:
            self._descriptor = open_own(self.part)
            try:
                self._claims = self._journal.claims()
                # Parity that was fetched stands behind the end.
                whole = os.fstat(self._descriptor).st_size >= self.layout.size
                self.resumed = whole and bool(self._claims)
                if self._claims is None or not whole:
                    check_space(self._descriptor, self.layout.size)
                    os.ftruncate(self._descriptor, 0)
                    preallocate(self._descriptor, self.layout.size)
                    self._journal.start_anew()
                    self._claims = {}
            except BaseException:
                os.close(self._descriptor)
                if fresh:  # nothing was there before: leave nothing behind
                    for path in (self.part, self._journal_path):
                        with contextlib.suppress(OSError):
                            os.unlink(path)
                raise
        except OSError as error:
            raise self._trouble(error) from error

    def _other_trouble(self, error: OSError) -> StorageError:
        own = next(
            (p for p in (self.part, self._journal_path) if str(p) == str(error.filename)), None
        )
        if own is not None and error.errno in _IN_THE_WAY:
            why = (error.strerror or str(error)).lower()
            return StorageError(f"{own}: {why}", help="remove it, or choose another destination")
        return StorageError(f"{self.path}: {error.strerror or error}")

    # -- while downloading ----------------------------------------------------------------

    def recover(self, on_piece: Callable[[int], None] | None = None) -> list[int]:
        """Hash again, on all cores, what the journal claims; return the good pieces' numbers.

        ``on_piece`` is called in this thread with the bytes of each piece that was looked at.
        """
        claims, self._claims = self._claims or {}, {}
        layout = self.layout
        good: list[int] = []
        for number, right in matching(layout, tuple(claims), self._read, claims=claims):
            if on_piece:
                on_piece(layout.length_of(number))
            if right:
                good.append(number)
                self.arrived(number)
            else:
                self._journal.withdraw(number)
        return good

    def _read(self, offset: int, into: memoryview) -> None:
        read_all(self._descriptor, into, offset)

    def _write(self, offset: int, data: memoryview) -> None:
        write_all(self._descriptor, data, offset)

    # -- ending ---------------------------------------------------------------------------

    def finish(self, *, sync: bool = True) -> tuple[str, ...]:
        """Sync, give the file its final name, remove the journal; what people ought to be told.

        Raises DestinationExistsError where something appeared under that name meanwhile, and
        StorageError.
        """
        try:
            cut_to(self._descriptor, self.layout.size)
            if sync:
                os.fsync(self._descriptor)
            self._check_part()
            publish(str(self.part), str(self.path), replace=self._force, keep_mode=True)
            with contextlib.suppress(OSError):
                os.unlink(self._journal_path)
            if sync:
                sync_folder(str(self.path.parent))
            return ()
        except FileExistsError:
            raise _exists(self.path) from None
        except OSError as error:
            raise self._trouble(error) from error
        finally:
            self.close()

    def _check_part(self) -> None:
        """What gets the final name must be what was written to, not what has its name by now."""
        if not is_named(self._descriptor, self.part):
            raise StorageError(
                f"{self.part}: was moved, removed or replaced during the download",
                help="leave it in place, then run the same command again",
            )

    def discard(self) -> None:
        """Close, and remove the partial and its journal: there is nothing in them."""
        for path in (self.part, self._journal_path):  # while it is locked
            with contextlib.suppress(OSError):
                os.unlink(path)
        self.close()

    def close(self) -> None:
        """Close; the partial and its journal stay for the next run."""
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if descriptor >= 0:
                os.close(descriptor)
        finally:
            self._journal.close()
            self.cancel_waiting()


def remove_partials(path: Path, layout: Layout, identity: bytes) -> None:
    """Remove what a download of this very file left that ended when the file had its name.

    It was killed, or a loss of power brought the old names back, maybe without the journal's bytes.
    """
    part, journal_path = (
        path.with_name(suffixed(path.name, suffix)) for suffix in (PART_SUFFIX, JOURNAL_SUFFIX)
    )
    with contextlib.suppress(OSError):  # as where another process has it
        if os.path.lexists(journal_path):
            journal = Journal(str(journal_path), layout, identity)
            try:
                if journal.blank or journal.claims() is not None:
                    part.unlink(missing_ok=True)
                    journal_path.unlink()
            finally:
                journal.close()
        elif part.samefile(path):
            part.unlink()


def _exists(path: Path) -> RegatherError:
    error = DestinationExistsError(
        f"{path}: already exists, and is kept", help="use --force to replace it"
    )
    error.path = str(path)
    return error


def check_place(path: Path) -> bool:
    """Raise UsageError where ``path`` cannot become a file; tell whether there is one already."""
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.parts):
        raise _no_place(path, "the name is longer than 255 bytes")
    try:
        status = _status(path)
        if status is not None:
            if stat.S_ISDIR(status.st_mode):
                raise _no_place(path, "is a folder, not a file")
            if stat.S_ISLNK(status.st_mode):
                raise _no_place(path, "is a link that leads nowhere, and is kept")
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(
                    f"{path}: is not a regular file, and is kept",
                    help=f"to write to it, in order: -o - > {shlex.quote(str(path))}",
                )
            return True
        above = _status(path.parent)
    except OSError as error:
        if is_fault_here(error):
            raise of_system(error, str(path)) from None
        raise _no_place(path, reason(error).lower()) from None
    if above is None or not stat.S_ISDIR(above.st_mode):
        there = "does not exist" if above is None else "is a file"
        raise _no_place(path, f"the folder {str(path.parent)!r} {there}")
    return False


def _status(path: Path) -> os.stat_result | None:
    """What is there, or what a link there leads to; a link that leads nowhere as itself."""
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _no_place(path: Path, flaw: str) -> UsageError:
    return UsageError(f"{path}: {flaw}", help="choose another destination")


def check_destination(path: Path, *, force: bool) -> None:
    """Raise UsageError where ``path`` cannot become a file, or exists and may not be replaced."""
    there = check_place(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise _no_place(path, f"the folder {str(path.parent)!r} is not writable")
    if there and not force:
        raise _exists(path)
