"""Which versions of signed manifests this user has accepted: there is no way back to an older one.

One JSON file in the state folder of the platform, written anew as a whole. By key and name of the
manifest it has the highest version, and the digest of that.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from regather.errors import StorageError, VerificationError, reason, system_errors
from regather.files.atomic import folder_locked, write_file
from regather.trust.comment import MAX_VERSION, TrustedComment
from regather.trust.public_key import PublicKey

_NAME = "accepted.json"
_MOST = 16 << 20
_HELP = "set XDG_STATE_HOME to a folder that only you can write to"


class _LastAccepted(msgspec.Struct):
    version: Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]
    digest: str


class _Accepted(msgspec.Struct):
    format: str = "regather accepted"
    keys: dict[str, dict[str, _LastAccepted]] = msgspec.field(default_factory=dict)


def state_folder(environment: Mapping[str, str]) -> str:
    """Where state is kept: ``regather`` in the folder of the platform's convention."""
    home = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(home):  # it counts for nothing then, says the specification
        mac = sys.platform == "darwin"
        home = os.path.expanduser("~/Library/Application Support" if mac else "~/.local/state")
    if not os.path.isabs(home):
        raise StorageError("no home folder to remember accepted versions in", help=_HELP)
    return os.path.join(home, "regather")


def accept(
    place: str,
    key: PublicKey,
    comment: TrustedComment,
    digest: str,
    *,
    allow_older: bool,
    environment: Mapping[str, str],
) -> None:
    """Remember that a manifest at ``place`` with this digest is accepted.

    Raises VerificationError where a higher version was accepted before, unless ``allow_older``, or
    the same version with another digest; StorageError where it cannot be remembered.
    """
    folder = state_folder(environment)
    path = os.path.join(folder, _NAME)
    with system_errors(StorageError, path, _HELP):
        if not _is_news(_read(path), place, key, comment, digest, allow_older=allow_older):
            return
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with folder_locked(folder):
            known = _read(path)  # anew: another process may have been quicker
            if _is_news(known, place, key, comment, digest, allow_older=allow_older):
                entry = _LastAccepted(comment.version, digest)
                known.keys.setdefault(key.line, {})[comment.file] = entry
                write_file(Path(path), _text(known), replace=True, mode=0o600)


def _is_news(
    known: _Accepted,
    place: str,
    key: PublicKey,
    comment: TrustedComment,
    digest: str,
    *,
    allow_older: bool,
) -> bool:
    """Whether it has to be remembered. Raises VerificationError where it must not be accepted."""
    before = known.keys.get(key.line, {}).get(comment.file)
    if before is None or comment.version > before.version:
        return True
    if comment.version < before.version:
        if not allow_older:
            raise VerificationError(
                f"{place}: version {comment.version} is older than version {before.version}, "
                "which was accepted before",
                help="do not use it; if its publisher has gone back, --allow-older accepts it",
            )
    elif digest != before.digest:
        raise VerificationError(
            f"{place}: ALARM: two different files are signed as version {comment.version} of "
            f"{comment.file}: digest {digest}, and {before.digest} before",
            help="do not use it; ask its publisher: the key may be stolen",
        )
    return False


def _read(path: str) -> _Accepted:
    """What was accepted. Raises StorageError or OSError."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(_MOST + 1)
    except FileNotFoundError:
        return _Accepted()
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StorageError(f"{path}: others can change what was accepted", help=_HELP)
    try:
        if len(data) > _MOST:
            raise ValueError(f"larger than {_MOST >> 20} MiB")
        return msgspec.json.decode(data, type=_Accepted)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{path}: damaged ({reason(error)})",
            help="remove it to forget which versions were accepted",
        ) from None


def _text(known: _Accepted) -> bytes:
    return msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n"
