"""The folders that a split fills, one a server, and which fragments go into which."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regather.coding.placement import losses_borne, spread
from regather.errors import UsageError
from regather.model import Layout
from regather.units import counted

_MOST_SERVERS = 10_000
"""Each gets a folder, whether or not there is a fragment for it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the fragments go: folders, and for each fragment the folders that get a copy."""

    folders: tuple[Path, ...]
    copies: tuple[tuple[int, ...], ...]
    survives: int = 0
    """Folders, whichever, that are meant to be lost without harm."""

    @classmethod
    def plan(
        cls,
        out: Path,
        layout: Layout,
        servers: int | None,
        replicas: int,
        survive: int | None = None,
        *,
        force: bool = False,
    ) -> Placement:
        """Spread fragments over ``server1`` to ``serverN`` so that replicas never share one.

        Without ``servers`` all go into ``out`` itself. Raises UsageError, also where fewer losses
        can be borne than ``survive``, unless ``force``.
        """
        count = len(layout.fragments)
        if servers is None:
            if replicas != 1 or survive:
                what = "replicas" if replicas != 1 else "losses to survive"
                raise UsageError(f"{what} need servers", help="add --servers N")
            return cls((out,), ((0,),) * count)
        if servers < 1 or replicas < 1:
            raise UsageError("servers and replicas must be 1 or more")
        if servers > _MOST_SERVERS:
            raise UsageError(f"{servers} servers are more than {_MOST_SERVERS}")
        if replicas > servers:
            raise UsageError(
                f"{replicas} replicas need more than {counted(servers, 'server')}",
                help=f"use --servers {replicas} or more, or --replicas {servers} or fewer",
            )
        folders = tuple(out / f"server{n + 1}" for n in range(servers))
        copies = spread(layout, servers, replicas)
        survives = losses_borne(
            layout,
            copies,
            servers,
            replicas,
            survive,
            force=force,
            noun="server",
            more=lambda n: f"use --servers {servers + n}",
        )
        return cls(folders, copies, survives)
