"""TLS for the server."""

from __future__ import annotations

import ssl

from regather.errors import UsageError, pem_flaw, reason


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Make the context for a PEM certificate (with its chain) and its private key.

    Raises UsageError where they cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    for path, option in ((certificate, "--tls-cert"), (key, "--tls-key")):
        try:
            open(path, "rb").close()
        except OSError as error:
            raise UsageError(
                f"{option} {path}: {reason(error).lower()}",
                help="give a PEM file that this user can read",
            ) from None
    try:
        # Without a password here OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise UsageError(
            f"--tls-cert {certificate} and --tls-key {key} cannot be used: {pem_flaw(error)}",
            help="give PEM files: the certificate with its chain, and its key without a password",
        ) from None
    return context
