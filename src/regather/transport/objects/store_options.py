"""What the user sets for object stores: for all, for those of one scheme, or for one bucket.

Written ``KEY=VALUE``, ``s3:KEY=VALUE`` or ``s3://bucket:KEY=VALUE``; the nearest one counts.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from regather.errors import UsageError
from regather.schemes import STORES

__all__ = ["StoreOptions", "checked_endpoint", "for_readers", "parse_options"]

_OPTION = r"(?:(?P<scheme>[a-z0-9]+)(?:://(?P<bucket>[^/:=]+)/?)?:)?(?P<key>[A-Za-z0-9_]+)"
_FLAGS = frozenset(
    (
        *("virtual_hosted_style_request", "skip_signature", "unsigned_payload", "s3_express"),
        *("sse_bucket_key_enabled", "imdsv1_fallback", "use_emulator", "use_azure_cli"),
    )
)
_KNOWN = {
    "s3": frozenset(
        (
            *("endpoint", "region", "virtual_hosted_style_request", "profile", "skip_signature"),
            *("unsigned_payload", "checksum_algorithm", "request_payer", "server_side_encryption"),
            *("sse_kms_key_id", "sse_bucket_key_enabled", "s3_express", "imdsv1_fallback"),
            *("metadata_endpoint", "role_arn", "role_session_name", "web_identity_token_file"),
            *("access_key_id", "secret_access_key", "session_token", "sse_customer_key_base64"),
        )
    ),
    "gs": frozenset(
        (
            *("endpoint", "skip_signature", "service_account", "application_credentials"),
            *("service_account_key", "bearer_token"),
        )
    ),
    "az": frozenset(
        (
            *("endpoint", "account_name", "use_emulator", "skip_signature", "use_azure_cli"),
            *("tenant_id", "client_id", "authority_host", "federated_token_file", "object_id"),
            *("account_key", "client_secret", "sas_key", "token"),
        )
    ),
}
_SECRET = frozenset(
    (
        *("secret_access_key", "session_token", "sse_customer_key_base64", "service_account_key"),
        *("bearer_token", "account_key", "client_secret", "sas_key", "token"),
    )
)
_FOR_READERS = frozenset(
    (
        *("endpoint", "region", "virtual_hosted_style_request", "s3_express", "request_payer"),
        *("skip_signature", "account_name", "use_emulator"),
    )
)
"""Where something is, and not who asks or how it is written."""
_ALIASES = {
    "endpoint_url": "endpoint",
    "endpoint_url_s3": "endpoint",
    "base_url": "endpoint",
    "default_region": "region",
    "account": "account_name",
}
_PREFIXES = ("aws_", "google_", "azure_storage_", "azure_")

_Scope = tuple[str, str]
"""Scheme and bucket; both may be empty, which means all."""


class StoreOptions:
    """Options by scope, and what connections of a download share. May be used by all threads."""

    def __init__(self, given: Mapping[str, str] | None = None, cacert: str | None = None) -> None:
        """``given`` maps what stands before ``=`` to what stands behind it. Raises UsageError.

        ``cacert`` is a file of certificate authorities that are trusted besides the system's.
        """
        self._given: dict[_Scope, dict[str, str]] = {}
        for name, value in (given or {}).items():
            scope, key = _read(name)
            self._given.setdefault(scope, {})[key] = _checked(scope[0], key, value)
        self.cacert = cacert
        self.clients: dict[tuple[str, ...], Any] = {}
        """Clients that were made already, by what they are for; see clients.py."""
        self.ways: list[Any] = []
        """How they get to endpoints; see guard.py."""
        self.warned: set[str] = set()
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<StoreOptions for {len(self._given)} scopes>"

    def of(self, scheme: str, bucket: str) -> dict[str, str]:
        """The options for a bucket, those of the nearest scope; keys as obstore has them."""
        found: dict[str, str] = {}
        for scope in (("", ""), (scheme, ""), (scheme, bucket)):
            values = self._given.get(scope, {})
            found |= {key: value for key, value in values.items() if key in _KNOWN[scheme]}
        return found


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """Read what --store-option gives. Raises UsageError, also for secrets: others see them."""
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f"--store-option {text!r}: has no =",
                help="write KEY=VALUE, s3:KEY=VALUE or s3://BUCKET:KEY=VALUE",
            )
        _, key = _read(name)
        if key in _SECRET:
            raise UsageError(
                f"--store-option {name}: a secret, which every user of this machine could read "
                "on the command line",
                help="put it into the environment or the configuration of the store (see "
                "docs/stores.md)",
            )
        options[name] = value
    return options


def for_readers(texts: Sequence[str], urls: Sequence[str]) -> list[str]:
    """Those of ``texts``, as parse_options takes them, that others need to read at ``urls``."""
    at = [(parts.scheme, parts.netloc) for parts in map(urlsplit, urls) if parts.scheme in STORES]
    useful = []
    for text in texts:
        (scheme, bucket), key = _read(text.partition("=")[0])
        meant = [(s, b) for s, b in at if scheme in ("", s) and bucket in ("", b)]
        if key in _FOR_READERS and any(key in _KNOWN[s] for s, _ in meant):
            useful.append(text)
    return useful


def checked_endpoint(url: str, where: str) -> str:
    """An endpoint without a slash at its end; ``where`` it was found. Raises UsageError."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or "@" in parts.netloc or parts.query or parts.fragment:
        shown = url.rpartition("@")[2] if fine else url
        raise UsageError(
            f"{where}: not the address of a store: {shown!r}",
            help="write http://HOST:PORT or https://HOST",
        )
    return url.rstrip("/")


def _read(name: str) -> tuple[_Scope, str]:
    """Scope and plain key of an option. Raises UsageError."""
    match = re.fullmatch(_OPTION, name)
    if match is None or (match["scheme"] and match["scheme"] not in STORES):
        raise UsageError(
            f"store option {name!r}: wrong form",
            help="write KEY=VALUE, s3:KEY=VALUE or s3://BUCKET:KEY=VALUE",
        )
    scheme, bucket = match["scheme"] or "", match["bucket"] or ""
    known = _KNOWN[scheme] if scheme else frozenset().union(*_KNOWN.values())
    key = match["key"].lower()
    prefix = next((p for p in _PREFIXES if key.startswith(p)), "")
    key = key.removeprefix(prefix)
    key = _ALIASES.get(key, key)
    if key not in known:
        raise UsageError(
            f"store option {name!r}: unknown option" + (f" for {scheme}://" if scheme else ""),
            help=f"there are {', '.join(sorted(known - _SECRET))}",
        )
    return (scheme, bucket), key


def _checked(scheme: str, key: str, value: str) -> str:
    if key == "endpoint":
        return checked_endpoint(value, "the store option endpoint")
    if key in _FLAGS:
        if value.lower() not in ("true", "false"):
            raise UsageError(f"store option {key}: must be true or false, not {value!r}")
        return value.lower()
    if not value or not value.isprintable():
        raise UsageError(f"store option {key}: empty, or contains control characters")
    return value
