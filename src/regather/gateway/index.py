"""What a gateway has, as a page for people and as JSON for programs."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from aiohttp import hdrs, web

from regather.gateway.hosted import HostedFile
from regather.server.accept import HTML, JSON, prefers
from regather.units import format_size

_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}
td{{padding:.2rem 1rem .2rem 0;vertical-align:top}}td+td{{white-space:nowrap}}</style>
<h1>{title}</h1>
<table>
{rows}
</table>
</html>
"""


def files_listing(
    request: web.BaseRequest, files: Sequence[HostedFile], public_url: str
) -> web.Response:
    """All files: name, size, digest, and where each can be had."""
    if prefers(request, JSON, HTML):
        entries = [_described(hosted, public_url) for hosted in files]
        return _answer(json.dumps({"files": entries}, indent=1) + "\n", "application/json")
    rows = [
        (
            quote(h.manifest.name) + ("/" if h.manifest.folder is not None else ""),
            h.manifest.name,
            format_size(h.manifest.size),
            f"d/{h.digest}/{quote(h.manifest_name)}",
        )
        for h in files
    ]
    return _page("Files", rows)


def folder_listing(request: web.BaseRequest, hosted: HostedFile, path: str) -> web.Response | None:
    """The files and folders directly in a folder of a hosted folder; None where it is none.

    ``path`` is empty, or ends in a slash.
    """
    sizes: dict[str, int | None] = {}
    for name, part in hosted.below.items():
        if name.startswith(path):
            first, slash, _ = name[len(path) :].partition("/")
            sizes[first + slash] = None if slash else part.size
    if not sizes and path:
        return None
    if prefers(request, JSON, HTML):
        entries = [{"name": name, "size": size} for name, size in sorted(sizes.items())]
        return _answer(json.dumps({"entries": entries}, indent=1) + "\n", "application/json")
    rows = [
        (quote(name), name, "" if size is None else format_size(size), "")
        for name, size in sorted(sizes.items())
    ]
    return _page(f"{hosted.manifest.name}/{path}", rows)


def _described(hosted: HostedFile, public_url: str) -> dict[str, object]:
    manifest = hosted.manifest
    name, below = quote(manifest.name), f"{public_url}d/{hosted.digest}/"
    return {
        "name": manifest.name,
        "size": manifest.size,
        "digest": hosted.digest,
        "blake3": manifest.blake3 or None,
        "sha256": manifest.sha256 or None,
        "folder": manifest.folder is not None,
        "url": public_url + name + ("/" if manifest.folder is not None else ""),
        "immutable_url": below + quote(hosted.file.name),
        "manifest_url": below + quote(hosted.manifest_name),
    }


def _page(title: str, rows: Iterable[tuple[str, str, str, str]]) -> web.Response:
    lines = [
        f'<tr><td><a href="{html.escape(link)}">{html.escape(name)}</a><td>{size}'
        + (f'<td><a href="{html.escape(manifest)}">manifest</a>' if manifest else "")
        for link, name, size, manifest in rows
    ]
    text = _PAGE.format(title=html.escape(title), rows="\n".join(lines))
    return _answer(text, "text/html")


def _answer(text: str, kind: str) -> web.Response:
    headers = {
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.VARY: "Accept",
        "X-Content-Type-Options": "nosniff",
    }
    if kind == "text/html":
        headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    return web.Response(text=text, content_type=kind, charset="utf-8", headers=headers)
