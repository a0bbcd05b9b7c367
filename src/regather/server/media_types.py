"""What kind of content a file is, by its name, and what a browser may do with it."""

from __future__ import annotations

from mimetypes import MimeTypes
from urllib.parse import quote

BYTES = "application/octet-stream"
_COMPRESSED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "compress": "application/x-compress",
}
"""Of what Python takes for the encoding of something else: the file is sent as it is."""
_ADDED = {
    ".deb": "application/vnd.debian.binary-package",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".meta4": "application/metalink4+xml",
    ".md": "text/markdown",
    ".mkv": "video/matroska",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".parquet": "application/vnd.apache.parquet",
    ".ogv": "video/ogg",
    ".xhtml": "application/xhtml+xml",
    ".zst": "application/zstd",
    ".7z": "application/x-7z-compressed",
}
_ACTIVE = ("text/html", "text/xml", "application/xml")
"""Types whose scripts a browser would run, besides all that end in ``+xml``."""


def _known_types() -> MimeTypes:
    """Python's own table, the same on every machine: files of the system are not read."""
    types = MimeTypes(filenames=())
    for ending, kind in _ADDED.items():
        types.add_type(kind, ending)
    return types


_TYPES = _known_types()


def content_type_of(name: str) -> str:
    """The media type of a file; bytes where its name says nothing."""
    kind, encoding = _TYPES.guess_type(f"/{name.lower()}")
    if encoding is not None:
        return _COMPRESSED.get(encoding, BYTES)
    return kind or BYTES


def content_headers(name: str, *, download: bool) -> dict[str, str]:
    """The headers that say what a file is: type, and name where the client wants to keep it.

    A browser must not take it for anything else. Of a page that it shows no script runs, and the
    page has no part in the origin of the server.
    """
    kind = content_type_of(name)
    headers = {"Content-Type": kind, "X-Content-Type-Options": "nosniff"}
    if kind in _ACTIVE or kind.endswith("+xml"):
        headers["Content-Security-Policy"] = "sandbox"
    if download:
        headers["Content-Disposition"] = content_disposition(name)
    return headers


def content_disposition(name: str) -> str:
    """``attachment`` with the name of the file (RFC 6266), in ASCII and, if need be, in UTF-8."""
    shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in shown)
    value = f'attachment; filename="{plain}"'
    return value if plain == shown else f"{value}; filename*=UTF-8''{quote(shown, safe='')}"
