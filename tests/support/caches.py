"""Ordinary caches between a server and clients, after the recipes of docs/caches.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.support.nginx import Nginx

DOCUMENT = Path(__file__).parents[2] / "docs" / "caches.md"
Changes = Sequence[tuple[str, str]]


def recipe(language: str, marker: str, changes: Changes) -> str:
    """The block with ``marker`` in it, with what a reader of the recipe replaces."""
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    (found,) = (str(block) for block in blocks if marker in block)
    for old, new in changes:
        if old not in found:
            raise ValueError(f"{old!r} is not in the recipe")
        found = found.replace(old, new)
    return found


def nginx_cache(origin: str, folder: Path, changes: Changes = ()) -> Nginx:
    """A cache before ``origin``, HOST:PORT; it serves nothing of ``folder``."""
    own = ("/var/cache/nginx/regather", "cache"), ("origin.example.org:8080", origin)
    return _nginx(folder, "proxy_cache_path", (*own, *changes))


def nginx_front(caches: Sequence[str], folder: Path) -> Nginx:
    """A server that spreads slices over three caches, HOST:PORT."""
    names = [(f"cache{n}.example.org:8080", cache) for n, cache in enumerate(caches, start=1)]
    return _nginx(folder, "consistent", names)


def _nginx(folder: Path, marker: str, changes: Changes) -> Nginx:
    text = recipe("nginx", marker, (*changes, ("    listen 8080;\n", "")))
    before, server = text.split("\nserver {\n")
    return Nginx(folder, http=before, extra=server.rstrip().removesuffix("}"))
