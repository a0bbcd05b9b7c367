"""Where verified bytes go. The store knows nothing of the network."""

from __future__ import annotations

from regather.store.destination import Destination, check_destination

__all__ = ["Destination", "check_destination"]
