"""How to log in to an FTP or SFTP server, and whether to believe that it is the one meant."""

from __future__ import annotations

import base64
import getpass
import hashlib
import os
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import unquote

from regather.origins import Origin
from regather.tokens import is_loopback
from regather.transport.curl.tls_and_proxy import (
    configure_proxy,
    configure_tls,
    refused_certificate,
    set_text,
)
from regather.transport.options import TransportOptions

_KEY_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa")
_KEY_TYPES = {1: "RSA1", 2: "RSA", 3: "DSS", 4: "ECDSA", 5: "ED25519"}
_MATCHES, _DIFFERS = 0, 1


class Access:
    """The login for one transfer."""

    def __init__(self, origin: Origin, user: str, options: TransportOptions) -> None:
        """``user`` is the name in the URL, still percent-encoded, or empty."""
        self._origin = origin
        self._options = options
        scheme, host, port = origin
        self._own = options.hosts.of(host, port)
        self._tls = scheme == "ftps" or (scheme == "ftp" and self._own.ftp_tls)
        named = unquote(user) or self._own.user
        self.login = self._login(named)
        """Name and password; a name that is empty: anonymous, or whoever runs this."""
        self._known_hosts = options.known_hosts or os.path.expanduser("~/.ssh/known_hosts")
        self._host_key = "not told"
        self._key_differs = False

    def _login(self, named: str) -> tuple[str, str]:
        scheme, host, _ = self._origin
        login = self._options.credentials.login(host, named)
        if login is None:
            return named, ""
        safe = scheme == "sftp" or self._tls or is_loopback(host)
        if not safe and not named:
            # A manifest may name any host, to see the password of ~/.netrc pass by.
            self._options.credentials.warn(
                f"the password of ~/.netrc is not sent to {host} over plain ftp; use ftps:// or "
                f"--ftp-tls {host}, or permit it with ftp://USER@{host}/"
            )
            return "", ""
        return named or login[0], login[1]

    def configure(self, easy: Any) -> None:
        """Set on an easy handle whom to log in as and whom to trust."""
        import pycurl

        configure_proxy(easy, self._options, self._origin)
        if self._origin[0] == "sftp":
            self._configure_ssh(easy)
            return
        # Without a name libcurl is "anonymous".
        user, password = self.login
        if user:
            set_text(easy, pycurl.USERNAME, user)
            set_text(easy, pycurl.PASSWORD, password)
        if self._tls:
            easy.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
            configure_tls(easy, self._options, self._origin)

    def _configure_ssh(self, easy: Any) -> None:
        import pycurl

        user, password = self.login
        set_text(easy, pycurl.USERNAME, user or _own_name())
        # Without a file libcurl would believe everybody, so there always is one.
        set_text(easy, pycurl.SSH_KNOWNHOSTS, self._known_hosts)
        easy.setopt(pycurl.SSH_KEYFUNCTION, self._judge)
        ways = pycurl.SSH_AUTH_AGENT
        if key := self._own.ssh_key or _own_key():
            ways |= pycurl.SSH_AUTH_PUBLICKEY
            set_text(easy, pycurl.SSH_PRIVATE_KEYFILE, key)
            easy.setopt(pycurl.SSH_PUBLIC_KEYFILE, "")  # it is in the private one
        if password:
            ways |= pycurl.SSH_AUTH_PASSWORD | pycurl.SSH_AUTH_KEYBOARD
            set_text(easy, pycurl.PASSWORD, password)
        easy.setopt(pycurl.SSH_AUTH_TYPES, ways)

    def _judge(self, known: Any, found: Any, match: int) -> int:
        import pycurl

        if match == _MATCHES:
            return int(pycurl.KHSTAT_FINE)
        self._key_differs = match == _DIFFERS
        digest = base64.b64encode(hashlib.sha256(found.key).digest()).rstrip(b"=").decode()
        self._host_key = f"{_KEY_TYPES.get(found.keytype, 'unknown')} SHA256:{digest}"
        return int(pycurl.KHSTAT_REJECT)

    def refused(self, detail: str) -> str:
        """Why we refused the server, and what to do about it."""
        scheme, host, port = self._origin
        if scheme != "sftp":
            return refused_certificate(detail)
        known, key = self._known_hosts, self._host_key
        if self._key_differs:
            return (
                f"its host key ({key}) is not the one in {known}: the connection may be "
                "intercepted; ask the operator of the server, and correct that file only if the "
                "key was changed"
            )
        return (
            f"its host key ({key}) is not in {known}; compare it with the operator of the "
            f"server, then add it: ssh-keyscan -p {port} {quote(host)} >> {quote(known)}"
        )

    def advice(self) -> str:
        """What to do where the login is refused, as the rest of an error's line."""
        scheme, host, _ = self._origin
        if scheme == "sftp":
            return (
                f"; give the user as sftp://USER@{host}/ and the key with --ssh-key "
                f"{host}=FILE, load it into ssh-agent, or put the password into ~/.netrc"
            )
        if all(self.login):
            return "; check the entry of ~/.netrc"
        return (
            f"; put the user name and the password into ~/.netrc: machine {host} login NAME "
            "password WORD"
        )

    def advice_on_tls(self) -> str:
        """What to do where TLS is wanted and not to be had, as the rest of an error's line."""
        _, host, _ = self._origin
        return (
            f"; it may be at ftps://{host}/; without --ftp-tls {host} the connection is not "
            "encrypted"
        )


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user whom this machine has no name for
        return "nobody"


def _own_key() -> str:
    """The user's own key, the kind that ssh prefers first; empty where there is none."""
    for name in _KEY_NAMES:
        path = Path("~/.ssh", name).expanduser()
        if path.is_file():
            return str(path)
    return ""
