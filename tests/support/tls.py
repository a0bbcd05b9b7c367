"""Certificates for servers on loopback, made on the spot by an authority of our own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: what a server needs, and what a client must trust to believe it."""

    certificate: Path
    """The server's certificate with its chain."""
    key: Path
    """The server's private key."""
    authority: Path
    """The authority's certificate, for the clients."""


def issue(folder: Path, *names: str, expired: bool = False) -> TlsFiles:
    """Write a new authority and a certificate for ``names`` into ``folder`` (made if missing).

    Without names the certificate is for 127.0.0.1, ::1 and localhost. ``expired`` gives one that
    was valid until yesterday.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    now = datetime.now(UTC)
    issued = authority.issue_cert(
        *(names or ("127.0.0.1", "::1", "localhost")),
        not_before=now - timedelta(days=10),
        not_after=now + timedelta(days=-1 if expired else 10),
    )
    files = TlsFiles(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    files.key.touch(mode=0o600)
    issued.private_key_pem.write_to_path(str(files.key))
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(files.authority))
    return files
