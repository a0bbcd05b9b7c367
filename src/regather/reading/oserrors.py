"""Errors of reading, as programs that read files expect them: each is an OSError as well.

Whoever opens a file catches OSError: pandas, zipfile, fsspec itself. So what leaves a file object
or the file system is both: the error of ours that it always was, and an OSError with an errno.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any, cast

from regather import errors
from regather.errors import RegatherError, UsageError, restored
from regather.transport import Failure, RequestFailed

_OF_FAILURE = {
    Failure.MISSING: errno.ENOENT,
    Failure.FORBIDDEN: errno.EACCES,
    Failure.TIMEOUT: errno.ETIMEDOUT,
    Failure.UNREACHABLE: errno.EHOSTUNREACH,
    Failure.BUSY: errno.EBUSY,
}


@contextmanager
def as_os_errors(number: int = 0) -> Iterator[None]:
    """Raise what is ours in the block as an OSError too; ``number`` is its errno where given."""
    try:
        yield
    except RegatherError as error:
        if isinstance(error, OSError):
            raise
        raise also_os_error(error, number or _errno_of(error)) from None


def also_os_error(error: RegatherError, number: int) -> RegatherError:
    """The same error, which is an OSError with this errno as well."""
    kind = type(OSError(number, "")) if number else OSError
    return _copied(error, kind, number)


def only_read(what: str) -> RegatherError:
    """The error for whatever would write: what ``io`` raises for it, too."""
    import io

    error = UsageError(f"{what}: hosted files are read-only", help="use publish to host a file")
    return _copied(error, io.UnsupportedOperation, errno.EROFS)


def _copied(error: RegatherError, kind: type[OSError], number: int) -> RegatherError:
    base: type[RegatherError] = getattr(errors, error.kind)
    copy = _both(base, kind)(error.what, help=error.help, details=error.details)
    copy.missing = error.missing
    _number(copy, number)
    copy.__cause__ = copy.__context__ = error.__cause__ or error.__context__
    return copy.with_traceback(error.__traceback__)


def _number(error: RegatherError, number: int) -> None:
    assert isinstance(error, OSError)
    error.errno, error.strerror = number or None, error.what


_made: dict[tuple[type, type], type[RegatherError]] = {}


def _both(ours: type[RegatherError], theirs: type[OSError]) -> type[RegatherError]:
    """A class that is both; one for each pair."""
    if (ours, theirs) not in _made:
        shown = {"__module__": ours.__module__, "__doc__": ours.__doc__, "__reduce__": _reduce}
        made = type(ours.__name__, (ours, theirs), shown)
        _made[ours, theirs] = cast("type[RegatherError]", made)
    return _made[ours, theirs]


def _reduce(error: RegatherError) -> tuple[object, ...]:
    """How such an error is pickled, for its class has no name of its own."""
    ours, theirs = type(error).__bases__
    return _restored, (ours, theirs, cast("OSError", error).errno or 0, error.__dict__)


def _restored(
    ours: type[RegatherError], theirs: type[OSError], number: int, facts: dict[str, Any]
) -> RegatherError:
    error = restored(_both(ours, theirs), facts)
    _number(error, number)
    return error


def _errno_of(error: RegatherError) -> int:
    """The errno that fits, by what was the reason."""
    # Raised "from None" for the message, but the reason is still known.
    why = error.__cause__ or error.__context__
    if isinstance(why, RequestFailed):
        return _OF_FAILURE.get(why.failure, errno.EIO)
    if isinstance(why, OSError) and why.errno:
        return why.errno
    if isinstance(error, UsageError):
        return errno.EINVAL
    return errno.EIO


def errno_of_sources(failures: Set[Failure | None]) -> int:
    """The errno for a piece that no source has, by how each of them failed (None: unknown).

    Never ENOENT: zarr, for one, takes what is not found for an empty part of an array.
    """
    only = next(iter(failures), None) if len(failures) == 1 else None
    return _OF_FAILURE[only] if only in _OF_FAILURE and only is not Failure.MISSING else errno.EIO
