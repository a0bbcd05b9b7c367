"""The configuration file as such: found, read, and its keys with the lines on which they stand."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import islice
from typing import Any, NoReturn

from regather.errors import UsageError

Key = tuple[str, ...]
"""Where a value stands: its tables and its own name, like ("host", "a.example", "token")."""
_MAX_BYTES = 256 << 10
"""What reads TOML takes a hundred times as much memory."""
_MAX_TRIED = 5
"""How many "=" of a line may stand in its key, in quotes; each is tried."""
_KINDS = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text in quotes",
    list: "a list",
    dict: "a table",
}


def find(
    named: str | None, *, unwanted: bool, environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """Where the configuration is to be read: its path, and who named it, empty for nobody.

    ``named`` is what --config says, ``unwanted`` that --no-config was given. None where there is
    to be none. Raises UsageError where both are given.
    """
    if unwanted:
        if named is not None:
            raise UsageError("--config and --no-config contradict each other", help="give one")
        return None
    if named is not None:
        return named, "--config"
    if (path := environment.get("REGATHER_CONFIG")) is not None:
        return (path, "REGATHER_CONFIG") if path else None
    folder = environment.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(folder):  # it counts for nothing then, says the specification
        folder = os.path.expanduser("~/.config")
    return os.path.join(folder, "regather", "config.toml"), ""


def load(named: str | None, *, unwanted: bool, environment: Mapping[str, str]) -> Config | None:
    """Read the configuration that ``find`` finds; None where there is none.

    Raises UsageError where it cannot be read or is no TOML.
    """
    found = find(named, unwanted=unwanted, environment=environment)
    if found is None:
        return None
    path, who = found
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not who:
            return None
        raise _unreadable(path, who, error) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, who, error) from None
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path}: larger than {_MAX_BYTES >> 10} KiB: no configuration of ours")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}: not text in UTF-8") from None
    return parse(text, path, exposed=bool(mode & stat.S_IROTH))


def _unreadable(path: str, who: str, error: OSError | ValueError) -> UsageError:
    why = (error.strerror or "") if isinstance(error, OSError) else ""
    named = f"{who} " if who else ""
    return UsageError(
        f"{named}{path}: {(why or str(error)).lower()}",
        help="name a configuration file, or none with --no-config",
    )


def parse(text: str, path: str, *, exposed: bool = False) -> Config:
    """Read the text of a configuration. Raises UsageError where it is no TOML."""
    import tomllib

    try:
        return Config(path, tomllib.loads(text), text, exposed)
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply") from None
    except ValueError as error:
        # TOMLDecodeError is one; so is what Python says of numbers with thousands of digits.
        what, line = str(error), ""
        if match := re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", what):
            what = what[: match.start()]
            line = f":{match[1] or len(text.splitlines())}"
        raise UsageError(
            f"{path}{line}: {what[:1].lower()}{what[1:]}",
            help="the file is TOML: see `regather help config`",
        ) from None


class Config:
    """What stands in a configuration file; not shown, for there may be secrets in it."""

    def __init__(
        self, path: str, tables: Mapping[str, Any], text: str, exposed: bool = False
    ) -> None:
        """``exposed`` tells whether all users of this machine can read it."""
        self.path, self.tables, self.exposed = path, tables, exposed
        self._text = text

    @cached_property
    def _lines(self) -> dict[Key, int]:
        return _lines_of(self._text)

    def line(self, *key: str) -> int | None:
        """The line, from 1, of a key or a table, as far as it can be told."""
        while key:
            if key in self._lines:
                return self._lines[key]
            key = key[:-1]
        return None

    def place(self, *key: str) -> str:
        """``FILE:LINE``, or the file alone."""
        line = self.line(*key)
        return self.path if line is None else f"{self.path}:{line}"

    def wrong(self, key: Key, why: str, *, help: str = "") -> NoReturn:
        """Raise UsageError that says where, which key, and why."""
        raise UsageError(f"{self.place(*key)}: {shown(key)} {why}", help=help)

    def keep_secret(self, key: Key, what: str, *, instead: str = "") -> None:
        """Raise UsageError where all users of the machine can read what stands under a key."""
        if self.exposed:
            self.wrong(
                key,
                f"{what} in a file that all users of this machine can read",
                help=f"chmod 600 {self.path}{instead}",
            )

    def unknown(self, key: Key, known: Iterable[str], what: str) -> NoReturn:
        """Raise UsageError for a key that nobody knows, with the nearest that is known."""
        from difflib import get_close_matches

        known = sorted(known)
        near = get_close_matches(key[-1].lower(), known, n=1)
        place = f" in [{_dotted(key[:-1])}]" if len(key) > 1 else ""
        raise UsageError(
            f"{self.place(*key)}: no {what} {key[-1]!r}{place}",
            help=f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}",
        )

    def table(self, *key: str) -> Mapping[str, Any]:
        """A table, empty where it is not there. Raises UsageError where it is none."""
        found: Any = self.tables
        for depth, name in enumerate(key, 1):
            found = found.get(name, {})
            if not isinstance(found, dict):
                self.wrong(key[:depth], "has to be a table", help=f"write [{_dotted(key)}]")
        table: Mapping[str, Any] = found
        return table

    def string(self, *key: str) -> str:
        """A text without control characters. Raises UsageError where it is another value."""
        value = self.table(*key[:-1])[key[-1]]
        if not isinstance(value, str):
            self.wrong(key, f"has to be text in quotes, not {kind(value)}")
        if not value or not value.isprintable():
            self.wrong(key, "must not be empty or hold control characters")
        return value

    def file(self, text: str) -> str:
        """A path that stands in the file: ``~`` expanded, relative to the file's folder."""
        return os.path.join(os.path.dirname(os.path.abspath(self.path)), os.path.expanduser(text))


def kind(value: object) -> str:
    """What a TOML value is, in words."""
    return _KINDS.get(type(value), "a date or time")


def shown(key: Key) -> str:
    """A key as messages name it: ``[get] connections``."""
    return f"[{_dotted(key[:-1])}] {key[-1]}" if len(key) > 1 else key[0]


def _dotted(key: Key) -> str:
    return ".".join(n if re.fullmatch(r"[A-Za-z0-9_-]+", n) else f'"{n}"' for n in key)


def _lines_of(text: str) -> dict[Key, int]:
    """The lines of tables and keys. tomllib tells none, so it is asked line by line."""
    found: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("["):
            key = _only_key(bare)
            if key:
                table = key
                found.setdefault(table, number)
        elif "=" in bare and not bare.startswith("#"):
            ends = (at.start() for at in islice(re.finditer("=", bare), _MAX_TRIED))
            key = next((k for end in ends if (k := _only_key(f"{bare[:end]}= 0"))), ())
            if key:
                found.setdefault(table + key, number)
    return found


def _only_key(line: str) -> Key:
    """The names that one line of TOML makes, the outermost first; none where it is no such line."""
    import tomllib

    try:
        made: Any = tomllib.loads(line)
    except (ValueError, RecursionError):
        return ()
    names = []
    while isinstance(made, dict) and len(made) == 1:
        name, made = next(iter(made.items()))
        names.append(name)
    return tuple(names)
