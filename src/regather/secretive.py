"""Values with fields that may hold secrets: these are never shown."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class Secretive(Struct, frozen=True):
    """Shown without the fields that are named in ``HIDDEN``."""

    HIDDEN: ClassVar[tuple[str, ...]]

    def __repr__(self) -> str:
        shown = (name for name in self.__struct_fields__ if name not in self.HIDDEN)
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__name__}({fields})"
