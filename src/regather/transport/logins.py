"""What stands in a file like ~/.netrc, by host.

Python's own reader keeps but the last entry of a host, and all case that its name is written in.
"""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Iterator

from msgspec import Struct

from regather.origins import ascii_host

__all__ = ["Login", "read_logins"]

_WORD = r'"((?:[^"\\]|\\.)*+)"|(\S++)'
_MOST = 128 << 10
"""Bytes of a file; curl's limit too (MAX_NETRC_FILE)."""
_KEYS = frozenset(("machine", "login", "user", "account", "password"))
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_ESCAPED = r"\\(.)"


class Login(Struct):
    """One entry for a host; each of its fields may be empty."""

    host: str
    """In lower case and ASCII; empty: the entry is of no use."""
    user: str = ""
    password: str = ""

    __repr__ = object.__repr__


def read_logins(path: str) -> tuple[list[Login], int]:
    """The entries of a file, and the first line that is none, or 0; such entries are left out.

    That for all other hosts, ``default``, is left out too. Raises OSError.
    """
    with open(path, "rb") as file:
        data = file.read(_MOST + 1)
    if len(data) > _MOST:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    found: list[Login] = []
    bad = 0
    entry = Login("")
    key = ""
    for number, word in _words(data.decode("utf-8-sig", "surrogateescape")):
        if key == "machine":
            entry, key = Login(_host(word)), ""
            found.append(entry)
        elif key:
            if key == "password":
                entry.password = word
            elif key in ("login", "user"):
                entry.user = word
            key = ""
        elif word.lower() == "default":
            entry = Login("")
        elif word.lower() in _KEYS:
            key = word.lower()
        else:
            bad = bad or number
            entry.host = ""
    return [entry for entry in found if entry.host], bad


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Words with the numbers of their lines, without comments and macros."""
    skips = False
    value = False  # whether the next word is one, whatever it looks like
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if skips:  # a macro ends with an empty line
            skips = bool(line.strip())
            continue
        for match in re.finditer(_WORD, line):
            quoted, word = match.groups()
            if not value and (word or "").startswith("#"):
                break
            if not value and (word or "").lower() == "macdef":
                skips = True
                break
            value = not value and (word or "").lower() in _KEYS
            if quoted is not None:
                word = re.sub(_ESCAPED, lambda m: _ESCAPES.get(m[1], m[1]), quoted)
            yield number, word


def _host(name: str) -> str:
    try:
        return ascii_host(name) if name.isprintable() else ""
    except UnicodeError:  # no host has such a name
        return ""
