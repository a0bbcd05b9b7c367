"""Debian's OpenSSH server on a free port of loopback, as whoever runs the tests."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from msgspec.structs import replace

from regather.transport import HostOptions, TransportOptions
from regather.transport.host_options import Hosts
from tests.support.daemon import Daemon
from tests.support.net import HOST, wait_until
from tests.support.processes import end

_CONFIGURATION = """\
ListenAddress {host}
Port {port}
HostKey {prefix}/host
PidFile {prefix}/pid
AuthorizedKeysFile {prefix}/authorized
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
"""


def make_key(path: Path, passphrase: str = "") -> Path:
    """Make a key pair: ``path``, and ``path`` with ``.pub``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)],
        check=True,
        timeout=20,
    )
    return path


class SftpServer(Daemon):
    """Serves ``root``, and all else that we may read, to who has the key in ``key``."""

    program = "sshd"
    package = "openssh-server"

    def __init__(self, root: Path, *, host: str = HOST) -> None:
        super().__init__(host)
        self.root = root

    def command(self, program: str) -> list[str]:
        """See Daemon.command."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it insists, as root
        make_key(self.prefix / "host")
        own = make_key(self.key)
        (self.prefix / "authorized").write_bytes(own.with_suffix(".pub").read_bytes())
        kind, key, *_ = (self.prefix / "host.pub").read_text("ascii").split()
        self.known_hosts.write_text(f"[{self.host}]:{self.port} {kind} {key}\n", "ascii")
        configuration = self.prefix / "sshd_config"
        configuration.write_text(
            _CONFIGURATION.format(host=self.host, port=self.port, prefix=self.prefix), "utf-8"
        )
        return [program, "-D", "-e", "-f", str(configuration)]

    @property
    def key(self) -> Path:
        """The private key that may log in."""
        return self.prefix / "own"

    @property
    def known_hosts(self) -> Path:
        """The server's host key, as clients keep it."""
        return self.prefix / "known_hosts"

    @property
    def url(self) -> str:
        """The address of the folder."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"sftp://{host}:{self.port}{quote(str(self.root))}/"

    @property
    def fingerprint(self) -> str:
        """That of the host key, as ssh-keygen shows it."""
        shown = subprocess.run(
            ["ssh-keygen", "-lf", str(self.prefix / "host.pub")],
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return shown.stdout.split()[1]

    @property
    def access(self) -> dict[str, HostOptions]:
        """What a client must be told to log in."""
        own = HostOptions(user=getpass.getuser(), ssh_key=str(self.key))
        return {
            f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}": own
        }

    def reached_by(self, options: TransportOptions, port: int = 0) -> TransportOptions:
        """The same options, and those that log in here, or where ``port`` leads here."""
        known = self.known_hosts
        if port:
            text = known.read_text("ascii").replace(f":{self.port} ", f":{port} ")
            known = self.prefix / f"known_hosts_{port}"
            known.write_text(text, "ascii")
        (own,) = self.access.values()
        return replace(options, hosts=Hosts({self.host: own}), known_hosts=str(known))


@contextmanager
def ssh_agent(key: Path, folder: Path) -> Iterator[str]:
    """An agent that holds ``key``; yields the path of its socket."""
    listening = folder / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(listening)], stdout=subprocess.DEVNULL)
    try:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(listening)}
        command = ["ssh-add", "-q", str(key)]

        def added() -> bool:
            told = subprocess.run(
                command, check=False, capture_output=True, timeout=20, env=environment
            )
            return told.returncode == 0

        wait_until(added, what="an agent")
        yield str(listening)
    finally:
        end(agent)
