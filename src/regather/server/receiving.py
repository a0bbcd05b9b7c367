"""Takes the body of one request: what it is declared to be, and its bytes as they come."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re

from aiohttp import ClientPayloadError, HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from regather.digest import Hasher, new_hasher
from regather.files.atomic import AtomicFile
from regather.hashes import HASH_SIZE
from regather.server.threads import in_thread
from regather.units import counted

HASH_HEADER = "Regather-Blake3"
"""The header with the BLAKE3 hash of the body: 64 hexadecimal digits."""
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_CONTENT_DIGEST = "Content-Digest"
_SHA256 = re.compile(r"(?:^|,)[ \t]*sha-256=:([A-Za-z0-9+/=]{44}):")
_BATCH = 1 << 20
"""Bytes that are collected before a thread hashes and writes them."""
_TIMEOUT = 120.0
"""Seconds that a sender may send nothing before it is given up."""


class Refused(Exception):
    """The request is not carried out; the answer has this status, and the text as its line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status = status


def declared_hash(request: web.BaseRequest) -> tuple[Hasher, bytes]:
    """What to hash the body with, and what must come out. Raises Refused where not declared."""
    texts = {text.strip().lower() for text in request.headers.getall(HASH_HEADER, ())}
    if texts:
        if len(texts) > 1 or not all(map(_HASH.fullmatch, texts)):
            raise Refused(400, f"{HASH_HEADER} must be 64 hexadecimal digits, once")
        return new_hasher(), bytes.fromhex(texts.pop())
    if match := _SHA256.search(",".join(request.headers.getall(_CONTENT_DIGEST, ()))):
        try:
            expected = base64.b64decode(match[1], validate=True)
        except binascii.Error:
            expected = b""
        if len(expected) == HASH_SIZE:
            return hashlib.sha256(), expected
    raise Refused(
        400, f"send the hash of the body: {HASH_HEADER}: HEX, as `b3sum --no-names FILE` prints"
    )


def listed(request: web.BaseRequest, name: str) -> set[str]:
    """The elements of a header that is a list, of all its lines, in lower case."""
    elements = ",".join(request.headers.getall(name, ())).split(",")
    return {element.strip(" \t").lower() for element in elements} - {""}


async def go_on(request: web.BaseRequest) -> None:
    """Send ``100 Continue`` where the client waits for it before it sends the body."""
    expected = listed(request, hdrs.EXPECT)
    if not expected or request.version < HttpVersion11:
        return
    if expected != {"100-continue"}:
        raise Refused(417, "this expectation is not supported")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # for aiohttp: the response has not begun


async def receive(request: web.BaseRequest, incoming: AtomicFile, size: int) -> None:
    """Write the body of ``size`` bytes; raise Refused where it ends early or comes no more."""
    batch = bytearray()
    left = size
    while left:
        try:
            async with asyncio.timeout(_TIMEOUT):
                data = await request.content.readany()
        except TimeoutError:
            raise Refused(408, f"received nothing for {_TIMEOUT:g} s") from None
        except (ConnectionError, ClientPayloadError, HttpProcessingError, web.PayloadAccessError):
            data = b""
        if not data:
            raise Refused(400, f"the body ended {counted(left, 'byte')} early")
        left -= len(data)
        batch += data
        if len(batch) >= _BATCH or not left:
            full, batch = batch, bytearray()
            await in_thread(incoming.write, full)
