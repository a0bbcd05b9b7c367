"""A host of its own: a network namespace, and the devices in it.

A namespace here has no name: it is an open file, so nothing is left of it once this process has
ended, however that was, and two runs cannot clash. Look into one from outside with
``nsenter --net=/proc/PID/fd/FD``.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Self

from tests.support.network.line import MTU

_CLONE_NEWNET = 0x40000000
_OURS = "/proc/thread-self/ns/net"
_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_CONGESTION = "cubic"
"""How TCP reacts to losses: as most hosts do, whatever this machine's default is. By route, for
a namespace may only be given a default that the machine has opened to all users."""
_QUEUE = 4000
"""Packets between the kernel and the emulator: enough for what comes while it is not running."""
_SETTINGS = {
    "ipv4/tcp_no_metrics_save": "1",  # no connection knows what an earlier one learnt
    "ipv6/conf/all/disable_ipv6": "1",
}


def _system_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class Namespace:
    """A network stack of its own, with a loopback device and nothing else; close it at the end."""

    def __init__(self) -> None:
        """Raises OSError where this is not permitted."""
        before = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _system_call("unshare", _CLONE_NEWNET)
            try:
                self._file = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
            finally:
                _system_call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)
        with self.entered():
            for name, value in _SETTINGS.items():
                path = Path("/proc/sys/net", name)
                if path.exists():
                    path.write_text(value, encoding="ascii")
        self.ip("link set lo up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it: it ends with the last process and socket in it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in the namespace meanwhile, and so are threads and processes it starts."""
        before = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _system_call("setns", self._file, _CLONE_NEWNET)
            try:
                yield
            finally:
                _system_call("setns", before, _CLONE_NEWNET)
        finally:
            os.close(before)

    def ip(self, *commands: str) -> None:
        """Run commands of ``ip``; raises RuntimeError with what it says where one fails."""
        self._run([_program("ip"), "-batch", "-"], "\n".join(commands))

    def tc(self, command: str) -> None:
        """Run a command of ``tc``; raises RuntimeError with what it says where it fails."""
        self._run([_program("tc"), *command.split()], "")

    def _run(self, command: list[str], given: str) -> None:
        with self.entered():
            done = subprocess.run(
                command, input=given, capture_output=True, text=True, timeout=20, check=False
            )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{given}")

    def up(self, name: str, address: str, peer: str) -> None:
        """Take a device that leads to ``peer`` up, with the route to it."""
        self.ip(
            f"link set {name} up",
            f"route replace {peer} dev {name} src {address} congctl {_CONGESTION}",
        )

    def tun(self, name: str, address: str, peer: str) -> int:
        """Make a TUN device to ``peer``, up, and return its file descriptor.

        Closing that removes the device.
        """
        with self.entered():
            device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
                fcntl.ioctl(device, _TUNSETIFF, request)
                self.ip(
                    f"link set {name} mtu {MTU} txqueuelen {_QUEUE}",
                    f"addr add {address} peer {peer} dev {name}",
                )
                self.up(name, address, peer)
            except BaseException:
                os.close(device)
                raise
        return device


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed (Debian: apt-get install iproute2)")
    return found


@cache
def why_not() -> str:
    """Why no hosts can be made here; empty where they can."""
    try:
        with Namespace() as namespace:
            os.close(namespace.tun("probe", "10.77.0.1", "10.77.0.2"))
    except (OSError, AttributeError, RuntimeError) as error:
        return f"no network namespaces with TUN devices here (they need root): {error}"
    return ""
