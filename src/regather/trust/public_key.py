"""Public keys of minisign: a line of base64, alone or below an untrusted comment."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode

from msgspec import Struct

from regather.errors import UsageError, reason
from regather.trust import UNTRUSTED

_ALGORITHM = b"Ed"
_SIZE = 42
_MOST = 4096
"""Bytes of a file with a public key, at most."""
_LINE = re.compile(r"RW[A-Za-z0-9+/]{54}")


class PublicKey(Struct, frozen=True):
    """A key that manifests may be signed by."""

    id: bytes
    """8 bytes that name it."""
    key: bytes
    """Ed25519, 32 bytes."""

    @property
    def name(self) -> str:
        """The id, as minisign shows it."""
        return key_name(self.id)

    @property
    def line(self) -> str:
        """The key in one line."""
        return b64encode(_ALGORITHM + self.id + self.key).decode()

    @property
    def text(self) -> str:
        """The file with the key."""
        return f"{UNTRUSTED}minisign public key {self.name}\n{self.line}\n"


def key_name(id: bytes) -> str:
    """The id of a key, as minisign shows it."""
    return f"{int.from_bytes(id, 'little'):X}"


def is_public_key(text: str) -> bool:
    """Whether a text is a public key itself, and not the name of a file."""
    return _LINE.fullmatch(text) is not None


def public_key(given: str) -> PublicKey:
    """A key that is given itself, or by the name of its file. Raises UsageError."""
    if is_public_key(given):
        return _parsed(given, given)
    try:
        with open(given, "rb") as file:
            data = file.read(_MOST + 1)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{given}: not usable as a public key ({reason(error).lower()})",
            help="give the file of the key, or the key itself: 56 characters that begin with RW",
        ) from None
    lines = [line for line in data.decode("latin-1").splitlines() if line.strip()]
    if lines and lines[0].startswith("untrusted comment:"):
        lines = lines[1:]
    if len(data) > _MOST or len(lines) != 1:
        raise _no_key(given)
    return _parsed(lines[0].strip(), given)


def _parsed(line: str, given: str) -> PublicKey:
    try:
        raw = b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise _no_key(given) from None
    if len(raw) != _SIZE or not raw.startswith(_ALGORITHM):
        raise _no_key(given)
    return PublicKey(raw[2:10], raw[10:])


def _no_key(given: str) -> UsageError:
    return UsageError(
        f"{given}: not a public key of minisign",
        help="give the file that `regather keygen` or `minisign -G` wrote, or the key itself",
    )
