"""How to download: what the user may set, and what connections make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from regather.errors import UsageError
from regather.transport import Credentials, TransportOptions

__all__ = ["Settings", "http_options"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How to download; every field has a default that suits most."""

    connections: int = 8
    """Most connections to one source."""
    timeout: float = 15.0
    """Seconds without a byte after which a request has failed."""
    connect_timeout: float = 5.0
    retries: int = 5
    """Failures in a row after which a source is not waited for any longer."""
    limit_rate: int | None = None
    """Bytes a second over all sources."""
    cacert: str | None = None
    """A file of certificate authorities to trust instead of the system's."""
    sync: bool = True
    """Whether to make the file durable before it gets its name."""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Tokens by ``HOST`` or ``HOST:PORT``, sent there and nowhere else; before those of the
    environment and of ~/.netrc."""
    fallback_tokens: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """The same, after those of the environment, before ~/.netrc."""

    def __post_init__(self) -> None:
        for name in ("connections", "timeout", "connect_timeout", "limit_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be more than 0, not {value}")
        if self.retries < 0:
            raise UsageError(f"retries must not be negative: {self.retries}")


def http_options(settings: Settings) -> TransportOptions:
    """What all connections share. Raises UsageError where a file that is named is unusable."""
    options = TransportOptions(
        settings.connect_timeout,
        settings.timeout,
        credentials=Credentials.gather(settings.tokens, fallback=settings.fallback_tokens),
    )
    if settings.cacert is None:
        return options
    import ssl

    try:
        context = ssl.create_default_context(cafile=settings.cacert)
    except OSError as error:
        raise UsageError(f"{settings.cacert}: not usable as --cacert ({error})") from None
    return replace(options, tls=lambda: context)
