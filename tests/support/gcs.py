"""Google Cloud Storage on loopback: a small one of our own, of what obstore asks for and no more.

No emulator that can be installed knows its XML API beyond plain reading, and that is all that
obstore speaks. It follows what Google publishes about that API in its Cloud Storage documentation
(cloud.google.com, below storage/docs/xml-api: get and head of objects and of a bucket, put-object-
upload, delete-object, post-object-multipart, put-object-multipart, post-object-complete,
delete-multipart, reference-headers, reference-status; and storage/docs/hashes-etags) and about
service accounts (google.aip.dev/auth/4111: tokens signed with the account's own key). Whatever is
asked for beyond it is refused with status 501, so that nothing passes because it was overlooked.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.support.google_accounts import Account
from tests.support.net import HOST
from tests.support.stores import without_stores

if TYPE_CHECKING:
    from obstore.store import GCSStore

LEAST_PART = 5 << 20
"""Bytes of each part but the last: fewer are refused."""
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
_KNOWN_HEADERS = frozenset(("x-goog-if-generation-match",))


@dataclass(frozen=True)
class Thing:
    """An object, of which a new one takes the place of the old one."""

    data: bytes
    tag: str
    generation: int
    date: float = field(default_factory=time.time)

    @property
    def headers(self) -> dict[str, str]:
        """What is told of it with every answer."""
        return {
            "ETag": self.tag,
            "Last-Modified": formatdate(self.date, usegmt=True),
            "x-goog-generation": str(self.generation),
            "x-goog-stored-content-length": str(len(self.data)),
            "Accept-Ranges": "bytes",
        }


@dataclass
class Bucket:
    """What is in it, by name, and uploads under way, by id: name and parts by number."""

    public: bool
    things: dict[str, Thing] = field(default_factory=dict)
    uploads: dict[str, tuple[str, dict[int, bytes]]] = field(default_factory=dict)


class Gcs:
    """Runs while the ``with`` body does."""

    scheme = "gs"

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.buckets: dict[str, Bucket] = {}
        self.account = Account("tests@project.iam.gserviceaccount.com")
        self.metadata_token = secrets.token_hex()
        self.asked: list[str] = []
        """Method and path of every request."""
        self._names = itertools.count(1)
        self.generations = itertools.count(1_700_000_000_000_000)
        gcs = self

        class Handler(_Handler):
            store = gcs

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gcs")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    @property
    def options(self) -> dict[str, str]:
        """How to reach it: Settings.store_options."""
        return {"endpoint": self.endpoint, "service_account_key": self.account.document}

    @property
    def refused(self) -> dict[str, str]:
        """The same with credentials that it does not take: an account's whose key is another."""
        return {**self.options, "service_account_key": Account(self.account.email).document}

    def at(self, port: int) -> dict[str, str]:
        """How it is reached at another port."""
        return {"endpoint": f"http://{HOST}:{port}"}

    def environment(self, folder: Path) -> dict[str, str]:
        """How commands reach it; ``folder`` is where to put the account's key."""
        path = folder / "account.json"
        path.write_text(self.account.document)
        return without_stores() | {
            "GOOGLE_APPLICATION_CREDENTIALS": str(path),
            "GOOGLE_BASE_URL": self.endpoint,
        }

    def bucket(self, *, public: bool = False) -> str:
        """Make a new bucket, which everybody may read if ``public``."""
        name = f"bucket{next(self._names)}.of-tests"
        self.buckets[name] = Bucket(public)
        return name

    def client(self, bucket: str) -> GCSStore:
        """obstore itself, without anything of ours."""
        from obstore.store import GCSStore

        return GCSStore(
            bucket,
            base_url=self.endpoint,
            service_account_key=self.account.document,
            client_options={"allow_http": True},
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status = status
        self.code = code


class _Handler(BaseHTTPRequestHandler):
    store: Gcs
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def _work(self) -> None:
        parts = urlsplit(self.path)
        self.store.asked.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # who sent it is gone: nothing may come of it
            self.close_connection = True
            return
        try:
            if parts.path == _TOKEN_PATH:
                self._metadata()
                return
            bucket, _, name = parts.path.removeprefix("/").partition("/")
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            with self.store.lock:
                found = self._allowed(unquote(bucket))
                status, headers, answer = self._answered(found, unquote(name), query, body)
        except _Refused as refused:
            text = f"<?xml version='1.0'?><Error><Code>{refused.code}</Code></Error>"
            status, headers, answer = refused.status, {}, text.encode()
        self._send(status, headers, answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _work

    def _send(self, status: int, headers: Mapping[str, str], answer: bytes) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(answer))} | dict(headers)).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _metadata(self) -> None:
        """A token of the instance's, for who says that he knows whom he asks."""
        if self.headers.get("Metadata-Flavor") != "Google":
            self._send(403, {}, b"")
            return
        token = {"access_token": self.store.metadata_token, "expires_in": 3600}
        self._send(200, {"Content-Type": "application/json"}, json.dumps(token).encode())

    def _allowed(self, name: str) -> Bucket:
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        mine = kind == "Bearer" and (
            token == self.store.metadata_token or self.store.account.signed(token)
        )
        if kind and not mine:
            raise _Refused(401, "AuthenticationRequired")
        bucket = self.store.buckets.get(name)
        if bucket is None:
            raise _Refused(404, "NoSuchBucket")
        if not mine and not (bucket.public and self.command in ("GET", "HEAD")):
            raise _Refused(403, "AccessDenied")
        return bucket

    def _answered(
        self, bucket: Bucket, name: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        special = {key.lower() for key in self.headers if key.lower().startswith("x-goog-")}
        if special - _KNOWN_HEADERS:
            raise _unknown()
        match self.command, sorted(query), name:
            case "GET", _, "":
                return 200, {}, _listed(bucket, query)
            case "GET" | "HEAD", [], _:
                return self._read(_known(bucket, name))
            case "PUT", [], _ if name:
                return 200, self._kept(bucket, name, body, f'"{_md5(body)}"').headers, b""
            case "DELETE", [], _:
                _known(bucket, name)
                del bucket.things[name]
                return 204, {}, b""
            case "POST", ["uploads"], _ if name:
                upload = secrets.token_urlsafe()
                bucket.uploads[upload] = (name, {})
                return 200, {}, _document("InitiateMultipartUploadResult", UploadId=upload)
            case "PUT", ["partNumber", "uploadId"], _:
                number = int(query["partNumber"])
                if not 1 <= number <= 10_000:
                    raise _Refused(400, "InvalidArgument")
                _parts(bucket, name, query)[number] = body
                return 200, {"ETag": f'"{_md5(body)}"'}, b""
            case "POST", ["uploadId"], _:
                whole = _joined(_parts(bucket, name, query), body)
                # Of no hash of its bytes.
                thing = self._kept(bucket, name, whole, f'"{secrets.token_urlsafe(12)}"')
                del bucket.uploads[query["uploadId"]]
                answer = _document("CompleteMultipartUploadResult", Key=name, ETag=thing.tag)
                return 200, {"x-goog-generation": str(thing.generation)}, answer
            case "DELETE", ["uploadId"], _:
                _parts(bucket, name, query)
                del bucket.uploads[query["uploadId"]]
                return 204, {}, b""
            case _:
                raise _unknown()

    def _read(self, thing: Thing) -> tuple[int, dict[str, str], bytes]:
        wanted = self.headers.get("If-Match")
        if wanted is not None and wanted != thing.tag:
            raise _Refused(412, "PreconditionFailed")
        if self.headers.get("If-None-Match") or self.headers.get("If-Range"):
            raise _unknown()
        headers, size = thing.headers, len(thing.data)
        text = self.headers.get("Range")
        if text is None:
            return 200, headers, thing.data
        if (match := _RANGE.fullmatch(text)) is None:
            raise _unknown()
        start, last = int(match[1]), min(int(match[2] or size), size - 1)
        if start > last:
            raise _Refused(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{last}/{size}"
        return 206, headers, thing.data[start : last + 1]

    def _kept(self, bucket: Bucket, name: str, data: bytes, tag: str) -> Thing:
        wanted = self.headers.get("x-goog-if-generation-match")
        there = bucket.things.get(name)
        if wanted is not None and int(wanted) != (there.generation if there else 0):
            raise _Refused(412, "PreconditionFailed")
        thing = bucket.things[name] = Thing(data, tag, next(self.store.generations))
        return thing


def _unknown() -> _Refused:
    return _Refused(501, "NotImplemented")


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _known(bucket: Bucket, name: str) -> Thing:
    if (thing := bucket.things.get(name)) is None:
        raise _Refused(404, "NoSuchKey")
    return thing


def _parts(bucket: Bucket, name: str, query: Mapping[str, str]) -> dict[int, bytes]:
    owner, parts = bucket.uploads.get(query["uploadId"], ("", {}))
    if owner != name:
        raise _Refused(404, "NoSuchUpload")
    return parts


def _joined(parts: Mapping[int, bytes], body: bytes) -> bytes:
    """What the document that completes an upload says that it consists of."""
    listed = [
        (int(one.findtext("{*}PartNumber", "0")), one.findtext("{*}ETag", ""))
        for one in ElementTree.fromstring(body).iterfind("{*}Part")
    ]
    numbers = [number for number, _ in listed]
    if not listed or numbers != sorted(set(numbers)):
        raise _Refused(400, "InvalidPartOrder")
    for number, tag in listed:
        if number not in parts or tag.strip('"') != _md5(parts[number]):
            raise _Refused(400, "InvalidPart")
    if any(len(parts[number]) < LEAST_PART for number in numbers[:-1]):
        raise _Refused(400, "EntityTooSmall")
    return b"".join(parts[number] for number in numbers)


def _listed(bucket: Bucket, query: Mapping[str, str]) -> bytes:
    if query.keys() - {"list-type", "prefix"} or query.get("list-type") != "2":
        raise _unknown()
    contents = "".join(
        f"<Contents><Key>{escape(name)}</Key><ETag>{escape(thing.tag)}</ETag>"
        f"<Size>{len(thing.data)}</Size><LastModified>"
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(thing.date))}</LastModified></Contents>"
        for name, thing in sorted(bucket.things.items())
        if name.startswith(query.get("prefix", ""))
    )
    text = f"<IsTruncated>false</IsTruncated>{contents}"
    return f"<?xml version='1.0'?><ListBucketResult>{text}</ListBucketResult>".encode()


def _document(kind: str, **elements: str) -> bytes:
    inside = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in elements.items())
    return f"<?xml version='1.0'?><{kind}>{inside}</{kind}>".encode()
