"""A client with one link to each of several sources, all of them hosts of their own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from tests.support.network.line import LinkSettings
from tests.support.network.link import EmulatedLink, End
from tests.support.network.namespace import Namespace


@dataclass(frozen=True, slots=True)
class SourceHost:
    """A host that the client reaches over a link of its own."""

    namespace: Namespace
    address: str
    link: EmulatedLink

    def unplug(self) -> None:
        """Take its end of the link down."""
        self.link.ends[1].down()

    def plug_in(self) -> None:
        """Take its end of the link up again."""
        self.link.ends[1].up()


class Star:
    """Makes the hosts and links, and removes them at the end; use as a context manager."""

    def __init__(self, links: Sequence[LinkSettings]) -> None:
        self._settings = links
        self._stack = ExitStack()
        self.sources: list[SourceHost] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.client = stack.enter_context(Namespace())
            for number, settings in enumerate(self._settings, 1):
                namespace = stack.enter_context(Namespace())
                near, far = f"10.77.{number}.1", f"10.77.{number}.2"
                ours = End(self.client, f"source{number}", near, far)
                theirs = End(namespace, "client", far, near)
                link = stack.enter_context(EmulatedLink(ours, theirs, settings))
                self.sources.append(SourceHost(namespace, far, link))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove it all; the links' reports are there then."""
        self._stack.close()
