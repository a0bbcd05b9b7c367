"""One libcurl transfer at a time, driven by the thread that wants its bytes.

libcurl pushes, a Connection is pulled from. So each has a loop of its own (a multi handle with one
easy handle), which turns only while somebody waits: what comes goes straight into the caller's
buffer, and while nobody asks nothing is read, so that TCP slows the sender down.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from regather.transport.base import TICK, Failure, RequestFailed
from regather.transport.curl.failures import Trouble
from regather.transport.curl.wake import Wake
from regather.transport.options import TransportOptions

GULP = 256 << 10
"""Bytes that libcurl receives at a time, at most: fewer calls of Python."""
_LAST_WORDS = 1.0
"""Seconds to wait for what a server says after the last byte; else a new connection costs more."""

_MOST_LINES = 1000
"""What is kept of what a server says; more is not looked at."""

_REPLY = re.compile(rb"[1-5][0-9]{2} ")
"""The line that ends a reply of FTP; all before it may go on for ever, as heads of HTTP may."""

Configure = Callable[[Any], None]
"""Sets the options of an easy handle that has none yet."""


class Transfer:
    """Keeps connections between transfers; belongs to one thread, save for abort()."""

    def __init__(self, curl: Any, options: TransportOptions, *, shared: bool = False) -> None:
        """``curl`` is the module pycurl; ``shared``: a connection outlives a broken transfer."""
        self._shared = shared
        self._watched: set[int] = set()  # descriptors of connections in use
        self._curl = curl
        self._options = options
        self._easy = curl.Curl()
        self._multi = curl.CurlMulti()
        self._multi.setopt(curl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(curl.M_TIMERFUNCTION, self._set_timer)
        self._wake = Wake()
        self._poll = select.poll()
        self._poll.register(self._wake.fileno(), select.POLLIN)
        self._due: float | None = None  # when libcurl wants to be called, whatever comes
        self._attached = False
        self._aborted = False
        self._closed = False
        self._warm = False  # a transfer has ended well on a connection that may still be there
        self._into: memoryview | None = None
        self._have = 0
        self._clear()

    def _clear(self) -> None:
        self._rest = memoryview(b"")
        self._paused = False
        self.lines: list[bytes] = []
        """What the server said, line by line, as far as the protocol has lines."""
        self.ended = False
        """Whether libcurl is done with it, well or not: see trouble."""
        self.trouble: Trouble | None = None
        self.patience = self._options.timeout
        """Seconds to wait for the next sign of life."""
        self._began = self._heard = time.monotonic()

    # -- a transfer -----------------------------------------------------------------------

    def begin(self, configure: Configure) -> None:
        """Start a transfer; one that is under way is broken off, with its connection."""
        self._detach()
        self._clear()
        curl, easy = self._curl, self._easy
        easy.reset()
        easy.setopt(curl.NOSIGNAL, 1)
        easy.setopt(curl.NOPROGRESS, 1)
        easy.setopt(curl.BUFFERSIZE, GULP)
        # Ours tell the end of a connection attempt apart from that of a slow login.
        easy.setopt(curl.CONNECTTIMEOUT_MS, 0x7FFFFFFF)
        easy.setopt(curl.FTP_RESPONSE_TIMEOUT, 0x7FFFFFFF // 1000)
        easy.setopt(curl.WRITEFUNCTION, self._write)
        easy.setopt(curl.HEADERFUNCTION, self._hear)
        configure(easy)
        self._multi.add_handle(easy)
        self._attached = True

    def until(self, said: Callable[[], bool]) -> None:
        """Go on until ``said()``, the first byte of the body, or the end, well or not.

        Raises RequestFailed for a time-out or an abort.
        """
        while not (self._rest or self.ended or said()):
            self._turn(time.monotonic() + TICK)
            self._look()

    def receive(self, into: memoryview) -> int:
        """As Connection.receive; 0 also where the transfer has ended: see ``ended``."""
        until = time.monotonic() + TICK
        self._into, self._have = into, 0
        try:
            self._pour()
            while self._have < len(into) and not self.ended and not self._aborted:
                self._turn(until)
                if time.monotonic() >= until:
                    break
        finally:
            self._into = None
        if not self._have and not self.ended:
            self._look()
        elif self._aborted:
            raise RequestFailed(Failure.ABORTED, "aborted")
        return self._have

    def finish(self, *, whole: bool) -> None:
        """End the transfer; its connection is kept where the body was received ``whole``."""
        until = time.monotonic() + _LAST_WORDS
        while whole and not self.ended and not self._aborted and time.monotonic() < until:
            if self._rest or self._paused:
                break
            self._turn(until)
        self._detach()

    def lives(self) -> None:
        """Count this moment as a sign of life: what was asked for is on its way, either way."""
        self._heard = time.monotonic()

    def info(self, name: str) -> Any:
        """What libcurl knows of the transfer: getinfo() of a constant of pycurl."""
        return self._easy.getinfo(getattr(self._curl, name))

    def abort(self) -> None:
        """See Connection.abort: this and all later calls fail."""
        self._aborted = True
        self._wake.call()

    def close(self) -> None:
        """Free all that it holds. Only abort, and this once more, may follow."""
        if self._closed:
            return
        self._closed = True
        self._detach()
        self._easy.close()
        self._multi.close()
        self._wake.close()

    def _detach(self) -> None:
        if self._attached:
            self._attached = False
            self._warm = self.ended and self.trouble is None
            if not self.ended and not self._shared:
                self._hang_up()
            self._multi.remove_handle(self._easy)

    def _hang_up(self) -> None:
        """End the connections of a transfer that is broken off: nobody could use them any more.

        libcurl would take its leave, and wait, without end in SFTP, for a server that is silent.
        """
        self._easy.setopt(self._curl.TIMEOUT_MS, 1)  # for what is not watched, being paused
        for descriptor in self._watched:
            with contextlib.suppress(OSError):  # some are no sockets
                one = socket.socket(fileno=descriptor)
                try:
                    one.shutdown(socket.SHUT_RDWR)
                finally:
                    one.detach()  # it is libcurl's

    # -- the loop -------------------------------------------------------------------------

    def _turn(self, until: float) -> None:
        """Wait for the network, at most ``until``, and let libcurl do what there is to do."""
        curl, multi = self._curl, self._multi
        now = time.monotonic()
        # In FTP and SFTP it waits for some answers by itself, deaf to all: no longer than we do.
        limit = now - self._began + self._options.timeout
        self._easy.setopt(curl.TIMEOUT_MS, int(limit * 1000) + 1)
        wait = until - now
        if self._due is not None:
            wait = min(wait, self._due - now)
        for descriptor, mask in self._poll.poll(max(0.0, wait) * 1000):
            if descriptor == self._wake.fileno():
                return
            flags = curl.CSELECT_IN if mask & select.POLLIN else 0
            flags |= curl.CSELECT_OUT if mask & select.POLLOUT else 0
            flags |= curl.CSELECT_ERR if mask & (select.POLLERR | select.POLLHUP) else 0
            multi.socket_action(descriptor, flags)
        if self._due is not None and time.monotonic() >= self._due:
            self._due = None
            multi.socket_action(curl.SOCKET_TIMEOUT, 0)
        if self.ended:
            return
        _, good, bad = multi.info_read()
        if good or bad:
            self.ended = True
            for _, code, text in bad:
                self.trouble = Trouble(code, text)

    def _look(self) -> None:
        """Raise RequestFailed where it was aborted, or has been silent for too long."""
        if self._aborted:
            raise RequestFailed(Failure.ABORTED, "aborted")
        now = time.monotonic()
        if self.ended or now - self._heard <= min(self.patience, self._options.connect_timeout):
            return
        if not self._warm and not self.info("CONNECT_TIME"):
            if now - self._began > self._options.connect_timeout:
                raise RequestFailed(Failure.TIMEOUT, "connection timed out")
        elif now - self._heard > self.patience:
            raise RequestFailed(
                Failure.TIMEOUT, f"received nothing for {self.patience:g} s (--timeout)"
            )

    def _watch(self, event: int, descriptor: int, multi: Any, data: object) -> None:
        curl = self._curl
        if event == curl.POLL_REMOVE:
            self._watched.discard(descriptor)
            with contextlib.suppress(KeyError):
                self._poll.unregister(descriptor)
            return
        self._watched.add(descriptor)
        mask = select.POLLIN if event in (curl.POLL_IN, curl.POLL_INOUT) else 0
        mask |= select.POLLOUT if event in (curl.POLL_OUT, curl.POLL_INOUT) else 0
        self._poll.register(descriptor, mask)

    def _set_timer(self, milliseconds: int) -> None:
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    # -- what comes -----------------------------------------------------------------------

    def _write(self, data: bytes) -> int | None:
        self.lives()
        if self._rest:
            self._paused = True
            return int(self._curl.WRITEFUNC_PAUSE)
        self._rest = memoryview(data)
        self._take()
        return None

    def _take(self) -> None:
        if self._into is None or not self._rest:
            return
        count = min(len(self._into) - self._have, len(self._rest))
        self._into[self._have : self._have + count] = self._rest[:count]
        self._have += count
        self._rest = self._rest[count:]

    def _pour(self) -> None:
        """Give what came while nobody had room for it."""
        self._take()
        while self._paused and not self._rest:
            self._paused = False
            self._easy.pause(self._curl.PAUSE_CONT)  # calls _write for what it holds
            self._take()

    def _hear(self, line: bytes) -> None:
        if _REPLY.match(line):
            self.lives()
        if len(self.lines) < _MOST_LINES:
            self.lines.append(line)
