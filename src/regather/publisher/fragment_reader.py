"""Where the bytes of fragments come from: slices of the file itself, and parity kept aside.

All parity stands in one file without a name, in the order of the fragments: nothing of it is left
behind, however the process ends. It goes where temporary files go (TMPDIR) and takes M / K of the
size of the file.
"""

from __future__ import annotations

import threading
from pathlib import Path

from regather.digest import new_hasher
from regather.errors import RegatherError, StorageError, system_errors
from regather.files.spool import Spool
from regather.model import Layout
from regather.splitter.original import Original
from regather.transport.stores.base import ReadInto

_STEP = 1 << 20
_HELP = "set TMPDIR to a folder with more free space, or use a smaller --parity"


class FragmentReader:
    """The fragments of one file; takes parity from the pass, then gives all. Thread-safe."""

    def __init__(self, path: Path, source: Original, layout: Layout) -> None:
        self._path = path
        self._source = source
        self._layout = layout
        self._digests: dict[int, bytes] = {}
        self._locks = [threading.Lock() for _ in layout.fragments]
        self._parity: Spool | None = None
        if needed := sum(f.size for f in layout.fragments if f.kind == "parity"):
            self._parity = Spool(None, needed, help=_HELP, what=": cannot store parity")

    def write(self, fragment: int, offset: int, data: memoryview) -> None:
        """Keep bytes of parity; those of data are in the file. See Sink.write."""
        if self._parity is not None and not self._layout.is_data(fragment):
            at = self._layout.fragments[fragment].offset - self._layout.size
            self._parity.write(at + offset, data)

    def reader(self, fragment: int) -> ReadInto:
        """What reads the fragment at this position. Raises RegatherError where it is too short."""
        start = self._layout.fragments[fragment].offset
        if (parity := self._parity) is not None and not self._layout.is_data(fragment):
            return lambda offset, into: parity.read(start - self._layout.size + offset, into)

        def read(offset: int, into: memoryview) -> None:
            while into:
                with system_errors(StorageError, self._path):
                    count = self._source.read(start + offset, into)
                if count == 0:
                    raise RegatherError(
                        f"{self._path}: was truncated while it was published",
                        help="publish it again",
                    )
                into, offset = into[count:], offset + count

        return read

    def blake3(self, fragment: int) -> bytes:
        """The hash of a whole fragment, 32 bytes; read when first asked for."""
        with self._locks[fragment]:
            if fragment not in self._digests:
                read = self.reader(fragment)
                size = self._layout.fragments[fragment].size
                buffer = memoryview(bytearray(min(size, _STEP)))
                hasher = new_hasher()
                for offset in range(0, size, _STEP):
                    view = buffer[: min(_STEP, size - offset)]
                    read(offset, view)
                    hasher.update(view)
                self._digests[fragment] = hasher.digest()
            return self._digests[fragment]

    def check_unchanged(self) -> None:
        """Raise RegatherError where the file was written to since it was opened."""
        self._source.check_unchanged("published")

    def close(self) -> None:
        """Give the room for parity back."""
        if self._parity is not None:
            self._parity.close()
