"""Where verified bytes go. The store knows nothing of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regather.store.destination import (
    Destination,
    check_destination,
    check_place,
    remove_partials,
)

if TYPE_CHECKING:
    from regather.store.folder import FolderDestination

    AnyDestination = Destination | FolderDestination

__all__ = ["AnyDestination", "Destination", "check_destination", "check_place", "remove_partials"]
