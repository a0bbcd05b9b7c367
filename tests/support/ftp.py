"""Debian's ProFTPD on a free port of loopback, over one folder, as whoever runs the tests."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from tests.support.daemon import Daemon
from tests.support.net import HOST
from tests.support.tls import TlsFiles

USER, PASSWORD = "ann", "a secret"
_CRYPTED = "$5$regather$Hy8uV848FnkkVN902B20OoA5p4khKISkCgMiJ/XIkF5"
_CRYPTED_MAIL = "$5$regather$zkcpC7oNy2xp3kOeBZcZrUKgV4DMKdjMOk4G6MfR9f5"
"""What ``openssl passwd -5`` makes of it, and of ftp@example.com, which libcurl sends."""

_CONFIGURATION = """\
ServerType standalone
ServerName test
DefaultServer on
DefaultAddress {host}
Port {port}
UseIPv6 on
User {user}
Group {group}
PidFile {prefix}/pid
ScoreboardFile {prefix}/scoreboard
ModulePath /usr/lib/proftpd
UseReverseDNS off
WtmpLog off
TransferLog none
SystemLog {prefix}/system.log
RequireValidShell off
AuthOrder mod_auth_file.c
AuthUserFile {prefix}/passwd
RootLogin on
{extra}
"""
_TLS = """\
LoadModule mod_tls.c
TLSEngine on
TLSProtocol TLSv1.2 TLSv1.3
TLSRequired {required}
TLSECCertificateFile {certificate}
TLSECCertificateKeyFile {key}
{options}
"""


class FtpServer(Daemon):
    """Serves ``root`` to everybody as anonymous, and to USER with PASSWORD.

    ``tls`` adds TLS: demanded at once where ``implicit`` (ftps://), else offered with AUTH TLS and
    needed to log in. ``extra`` is put into the configuration.
    """

    program = "proftpd"
    package = "proftpd-core proftpd-mod-crypto"

    def __init__(
        self,
        root: Path,
        *,
        host: str = HOST,
        port: int = 0,
        tls: TlsFiles | None = None,
        implicit: bool = False,
        extra: str = "",
    ) -> None:
        super().__init__(host, port)
        self.root = root
        self._tls = tls
        self._implicit = implicit
        self._extra = extra

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        # No section Anonymous: that needs chroot(), and so root.
        (self.prefix / "root").symlink_to(self.root.absolute(), target_is_directory=True)
        rest = f"{os.getuid()}:{os.getgid()}::{self.prefix}/root:/bin/sh\n"
        users = self.prefix / "passwd"
        users.write_text(f"{USER}:{_CRYPTED}:{rest}anonymous:{_CRYPTED_MAIL}:{rest}", "utf-8")
        users.chmod(0o600)
        extra = self._extra
        if self._tls is not None:
            extra += _TLS.format(
                required="on",
                certificate=self._tls.certificate,
                key=self._tls.key,
                options="TLSOptions UseImplicitSSL" if self._implicit else "",
            )
        configuration = self.prefix / "proftpd.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                host=self.host,
                port=self.port,
                user=pwd.getpwuid(os.getuid()).pw_name,
                group=grp.getgrgid(os.getgid()).gr_name,
                prefix=self.prefix,
                extra=extra,
            ),
            "utf-8",
        )
        return [program, "--nodaemon", "--quiet", "--config", str(configuration)]

    @property
    def url(self) -> str:
        """The address of the folder."""
        scheme = "ftps" if self._implicit else "ftp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/"

    @property
    def netrc(self) -> str:
        """What ~/.netrc has to say to log in as USER."""
        return f'machine {self.host} login {USER} password "{PASSWORD}"\n'
