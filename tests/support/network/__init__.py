"""Hosts of their own on this machine, joined by links of a given rate, delay and loss.

namespace.py   a network stack of its own (Linux network namespace), nameless
line.py        what a link does to a packet: a queue of a given rate, a delay, losses
emulator.py    the process that carries packets from one TUN device to another through lines
link.py        a link between two namespaces: by the emulator, or by the kernel's netem
star.py        a client with one link to each of several sources
"""

from tests.support.network.line import LinkSettings
from tests.support.network.namespace import why_not
from tests.support.network.star import Star

__all__ = ["LinkSettings", "Star", "why_not"]
