"""The options that fsspec hands over: which are known, and what each is for.

fsspec's own file systems pass over in silence what they do not know, so that options may be meant
for some and given to all. A mistyped ``digest`` would then verify nothing: here they are refused.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from regather.errors import UsageError
from regather.sources.settings import Settings
from regather.transport import HostOptions

_SETTINGS = frozenset(Settings.__struct_fields__)
_OURS = frozenset(("servers", "digest", "cache_size", "read_ahead"))
_FSSPECS = frozenset(
    "use_listings_cache listings_expiry_time max_paths skip_instance_cache asynchronous loop "
    "batch_size fill_cache default_fill_cache auto_mkdir".split()
)
"""Known to all file systems of fsspec; there is nothing here that they could change."""
_CHAINED = frozenset(("target_protocol", "target_options", "fo"))
"""What fsspec gives to whoever stands before ``::``."""
_CACHES = ("cache_type", "block_size", "cache_options")
_OPEN = frozenset((*_CACHES, "cache_size", "read_ahead", "autocommit", "size", "fill_cache"))


class Buffering(Struct, frozen=True):
    """A cache of fsspec's, over our own: what ``open`` takes by these names."""

    cache_type: str | None = None
    """None: no such cache."""
    block_size: int | None = None
    cache_options: Mapping[str, Any] | None = None

    def of(self, how: Mapping[str, Any]) -> Buffering:
        """As it is with what ``open`` was given."""
        chosen = {name: how.get(name) for name in _CACHES}
        kept = {n: getattr(self, n) if value is None else value for n, value in chosen.items()}
        return Buffering(**kept)


def split_options(
    others: Mapping[str, Any],
) -> tuple[dict[str, Any], Buffering, dict[str, Any]]:
    """Fields of Settings, the cache of fsspec's, and what fsspec itself is to see.

    Raises UsageError where there is none of that name.
    """
    defaults = {f"default_{name}" for name in _CACHES}
    _refuse_unknown(others, _SETTINGS | _FSSPECS | defaults | set(_CACHES), _OURS)
    settings = {n: v for n, v in others.items() if n in _SETTINGS and v is not None}
    if "hosts" in settings:
        settings["hosts"] = {host: _host(given) for host, given in settings["hosts"].items()}
    cache = {n: others.get(n, others.get(f"default_{n}")) for n in _CACHES}
    return settings, Buffering(**cache), {n: v for n, v in others.items() if n in _FSSPECS}


def check_open(how: Mapping[str, Any]) -> None:
    """Raise UsageError where ``open`` has no option of that name."""
    _refuse_unknown(how, _OPEN, frozenset())


def _host(given: HostOptions | Mapping[str, Any]) -> HostOptions:
    """The options of a host, which may be given as a mapping: as JSON and YAML have them."""
    if isinstance(given, HostOptions):
        return given
    headers = given.get("headers", ())
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return HostOptions(**{**given, "headers": tuple((name, value) for name, value in pairs)})


def _refuse_unknown(
    given: Mapping[str, Any], known: frozenset[str] | set[str], more: frozenset[str]
) -> None:
    for name in given:
        if name not in known:
            if name in _CHAINED:
                raise UsageError(
                    "regather:// does not support chained file systems",
                    help="write regather://MANIFEST, and an IPv6 address in it without '::'",
                )
            near = difflib.get_close_matches(name, sorted(known | more), 1)
            raise UsageError(
                f"regather:// has no option {name!r}",
                help=f"did you mean {near[0]}?" if near else "docs/python.md lists the options",
            )
