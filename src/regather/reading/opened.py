"""The sessions of open files: closed at the end of the process, left alone in a child of it."""

from __future__ import annotations

import atexit
import weakref

from regather.engine.session import Session

_JOIN_SECONDS = 2.0
"""How long to wait for workers at the end; one may hang in a name look-up."""
_open: weakref.WeakSet[Session] = weakref.WeakSet()
_forsaken: list[Session] = []
"""Those of the parent process, kept so that nothing of them is collected as garbage."""


def opened(session: Session) -> Session:
    """Have a session closed at the end of the process, if it is not before."""
    _open.add(session)
    return session


def forsake(session: Session) -> None:
    """In a child process after a fork: let go of a session of the parent.

    What would say good-bye to a server when it is collected as garbage is kept.
    """
    session.forsake()
    _forsaken.append(session)


@atexit.register
def _close_all() -> None:
    """Close what was left open, and wait for what other threads are closing.

    A library that closes files in a thread of its own, as pyarrow does, must not be overtaken by
    the end of the interpreter: what waits for Python then takes the process down.
    """
    for session in list(_open):
        session.close()
        session.ended.wait(_JOIN_SECONDS)
