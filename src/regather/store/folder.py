"""A folder as the destination of a packed file: every byte goes to the file that it is part of.

Until all is there, what comes stands in the staging folder. Then everything gets its mode, is
synced, and is moved to its name. Files that are right already are left alone, and not fetched.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection
from pathlib import Path

from regather.errors import (
    DestinationExistsError,
    RegatherError,
    StorageError,
    UsageError,
    reason,
)
from regather.files.openat import DirHandle, NotAFolder
from regather.files.platform import closed_after, read_all, write_all
from regather.folder import STAGING, Folder
from regather.folder.packing import Packing
from regather.model import Layout
from regather.store.base import PartialDownload
from regather.store.existing import Present
from regather.store.install import install_all
from regather.store.partial_folder import Staging
from regather.store.pieces import matching
from regather.store.spans import Spans, survey
from regather.tasks import pool

_HELP = "choose another folder with -o"


class FolderDestination(PartialDownload):
    """One folder being downloaded."""

    def __init__(
        self,
        path: Path,
        name: str,
        layout: Layout,
        folder: Folder,
        identity: bytes,
        *,
        wanted: frozenset[int] | None = None,
        force: bool = False,
    ) -> None:
        """Look at what stands at ``path``, which is made where there is nothing.

        ``name`` is what the folder was called where it was published. ``identity`` tells downloads
        of different content apart (32 bytes). ``wanted`` are the numbers of the entries to get,
        with the folders that they are in; None: all. Raises DestinationExistsError where something
        else than ours is in the way, unless ``force``, UsageError where that can't be replaced, and
        StorageError where the disk is full or another process downloads to the same folder.
        """
        super().__init__(path, layout, force=force)
        self.part = path / STAGING
        self._name = name
        self._folder = folder
        self._wanted = wanted if wanted is not None else frozenset(range(len(folder.entries)))
        self.count = sum(folder.entries[n].kind == "file" for n in self._wanted)
        self.content = sum(folder.entries[n].size for n in self._wanted)
        self._spans = Spans(folder)
        self._decodable = layout.data_count < len(layout.fragments)
        self._made = False
        try:
            self._made = _make(path)
            self._below = DirHandle(str(path))
        except OSError as error:
            raise self._trouble(error) from error
        try:
            self._open(identity)
        except BaseException as error:
            self._below.close()
            self._remove_made()
            if isinstance(error, OSError):
                raise self._trouble(error) from error
            raise

    def _open(self, identity: bytes) -> None:
        self._present = Present(
            self.path, self._name, self._below, self._folder, self._wanted, force=self._force
        )
        rest = self.layout.size - self._spans.total
        self._staging = Staging(self._below, self.layout, self._folder, identity, rest)
        self._journal = self._staging.journal
        try:
            clash = next(self._folder.clashes(), None)
            if clash is not None and self._staging.ignores_case():
                raise UsageError(
                    f"{self.path}: {clash[0]!r} and {clash[1]!r} are the same name on this file "
                    "system",
                    help=f"{_HELP}, on a file system that does not ignore case",
                )
            maybe = self._present.maybe
            missing = self._wanted - maybe
            needed = sum(self._folder.entries[n].size for n in missing)
            self._claims = self._staging.begin(needed)
        except BaseException:
            self._staging.give_up()
            raise
        nothing = not self._wanted.intersection(self._spans.files)
        some = len(self._wanted) < len(self._folder.entries)
        self.resumed = bool(self._claims or maybe or self._present.right or nothing or some)

    def _other_trouble(self, error: OSError) -> RegatherError:
        if isinstance(error, NotAFolder):
            return UsageError(
                f"{self.path / error.filename}: {error.strerror}", help=f"move it away, or {_HELP}"
            )
        where = self.path / str(error.filename) if error.filename else self.path
        return StorageError(f"{where}: {reason(error).lower()}")

    # -- what is there --------------------------------------------------------------------

    def recover(self, on_piece: Callable[[int], None] | None = None) -> list[int]:
        """Hash, on all cores, what is there; return the numbers of good pieces.

        ``on_piece`` is called in this thread with the bytes of what was looked at. Raises
        DestinationExistsError where a file is another one than ours, unless forced.
        """
        layout = self.layout
        try:
            with pool(os.cpu_count() or 1) as threads:
                self._present.hash(threads, on_piece)
            needless, self.pieces = survey(
                layout, self._folder, self._spans, self._wanted, self._present.right
            )
            good = sorted(needless)
            claims = [n for n in self._claims if n not in needless]
            if self._decodable and len(needless) < len(self.pieces):
                # Rows are decoded with them, so all that stands between files must be there.
                self._fill_gaps(needless)
                good, claims = [], [*claims, *good]
            for number, right in matching(layout, claims, self._read):
                if on_piece:
                    on_piece(layout.length_of(number))
                if right:
                    good.append(number)
                elif number not in needless:
                    self._journal.withdraw(number)
        except OSError as error:
            raise self._trouble(error) from error
        self._claims = {}
        for number in good:
            self.arrived(number)
        if len(self.pieces) < layout.data_pieces:
            self.pieces = {*self.pieces, *(n for n in good if n < layout.data_pieces)}
        return good

    def _fill_gaps(self, pieces: Collection[int]) -> None:
        """Make what stands between files that are right, as whoever published it mostly did."""
        layout = self.layout
        packing = Packing.if_alike(self._name, self._folder)
        if packing is None:
            return
        for number in pieces:
            offset = layout.offset_of(number)
            for start, _, what in packing.spans(offset, offset + layout.length_of(number)):
                if isinstance(what, bytes):
                    write_all(self._staging.rest, what, self._spans.rest(start))

    # -- while downloading ----------------------------------------------------------------

    def _write(self, offset: int, data: memoryview) -> None:
        for file, at, view in self._spans.cut(offset, data):
            if file < 0:
                write_all(self._staging.rest, view, at)
            elif file not in self._present.right:
                descriptor = self._staging.file(file, claim=file in self._wanted)
                with closed_after(descriptor):
                    write_all(descriptor, view, at)

    def _read(self, offset: int, into: memoryview) -> None:
        for file, at, view in self._spans.cut(offset, into):
            if file < 0:
                read_all(self._staging.rest, view, at)
                continue
            right = file in self._present.right
            descriptor = self._present.open(file) if right else self._staging.open(file)
            with closed_after(descriptor):
                read_all(descriptor, view, at)

    # -- ending ---------------------------------------------------------------------------

    def finish(self, *, sync: bool = True) -> tuple[str, ...]:
        """Give everything its mode, sync, and move it to its name; then remove the rest.

        Returns what people ought to be told.
        Raises DestinationExistsError where something appeared under one of the names meanwhile.
        """
        right = self._present.right
        try:
            for number in self._wanted.difference(right):
                entry = self._folder.entries[number]
                if entry.kind == "file" and not entry.size:  # others have come, or are missed below
                    os.close(self._staging.file(number))
            other = install_all(
                self._below,
                self._staging.descriptor,
                self._folder,
                self._wanted,
                right,
                replace=self._force,
                sync=sync,
            )
            self._staging.remove()
            return _notes(self.path, other)
        except FileExistsError as error:
            self._present.refuse([error.filename])
            raise self._trouble(error) from None
        except OSError as error:
            raise self._trouble(error) from error
        finally:
            self.close()

    def discard(self) -> None:
        """Close, and remove what was kept: there is nothing in it."""
        self._staging.remove()
        self.close()
        self._remove_made()

    def _remove_made(self) -> None:
        if self._made:
            with contextlib.suppress(OSError):
                os.rmdir(self.path)

    def close(self) -> None:
        """Close; what is there stays for the next run."""
        self._staging.close()
        self._below.close()
        self.cancel_waiting()


def _notes(folder: Path, other: list[str]) -> tuple[str, ...]:
    if not other:
        return ()
    more = f" and {len(other) - 1} more" if len(other) > 1 else ""
    return (f"{folder / other[0]}{more}: the file system changed the modification time",)


def _make(path: Path) -> bool:
    """Make the folder; False where it was there. Raises UsageError, OSError."""
    try:
        os.mkdir(path)
        return True
    except FileExistsError:
        if path.is_dir() and os.access(path, os.W_OK | os.X_OK):
            return False
        if not path.is_dir():
            error = DestinationExistsError(f"{path}: is a file, not a folder", help=_HELP)
            error.path = str(path)
            raise error from None
        flaw = "is not writable"
    except FileNotFoundError:
        flaw = f"the folder {str(path.parent)!r} does not exist"
    raise UsageError(f"{path}: {flaw}", help=_HELP)
