"""Large objects go in parts: all of them or nothing, and nothing is left of what was given up."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import obstore
import pytest
from blake3 import blake3

from regather.transport import Failure, RequestFailed, TransportOptions
from regather.transport.objects.store_options import StoreOptions
from regather.transport.stores.base import Store
from regather.transport.stores.open import open_store
from regather.transport.stores.retrying import RetryingStore, RetryPolicy
from tests.conformance.line import Fault, Line
from tests.conformance.test_storing import reader
from tests.support.gcs import Gcs
from tests.support.net import HOST, wait_until
from tests.support.stores import NAMES, ObjectStorage
from tests.support.swift import Swift

MIB = 1 << 20
DATA = random.Random(11).randbytes(17 * MIB + 1)
DIGEST = blake3(DATA).digest()


PART = {"swift": "partNumber=", "gcs": "partNumber=", "azurite": "comp=block&"}
"""What tells the request for a part."""


@dataclass
class Bucket:
    kind: str
    storage: ObjectStorage
    name: str
    line: Line
    store: Store

    def names(self) -> list[str]:
        client = self.storage.client(self.name)
        return [one["path"] for batch in obstore.list(client) for one in batch]

    def cleared_away(self) -> bool:
        """Azure forgets by itself, after a week, what nothing was made of."""
        return self.kind == "azurite" or self.count("DELETE", "uploadId=") == 1

    def count(self, method: str, part: str) -> int:
        return sum(line.startswith(method) and part in line for line in self.line.asked)


@pytest.fixture(params=NAMES)
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    storage: ObjectStorage = request.getfixturevalue(request.param)
    name = storage.bucket()
    with Line(storage.port, Fault()) as line:
        given = {**storage.options, **storage.at(line.port)}
        options = TransportOptions(timeout=5.0, stores=StoreOptions(given))
        store = open_store(f"{storage.scheme}://{name}/", options)
        yield Bucket(request.param, storage, name, line, store)
        store.close()


def test_parts(bucket: Bucket) -> None:
    bucket.store.put("x", len(DATA), reader(DATA), DIGEST, replace=False)
    assert obstore.get(bucket.storage.client(bucket.name), "x").bytes() == DATA
    assert bucket.count("PUT", PART[bucket.kind]) == 3
    # Where its entity tag is what it should be, nothing is read back.
    assert bucket.count("GET", "/x") == (bucket.kind != "swift")
    with pytest.raises(RequestFailed) as caught:
        bucket.store.put("x", len(DATA), reader(DATA), DIGEST, replace=False)
    assert caught.value.failure is Failure.EXISTS


def test_other_bytes_than_declared(bucket: Bucket) -> None:
    with pytest.raises(RequestFailed) as caught:
        bucket.store.put("x", len(DATA), reader(DATA), bytes(32))
    assert caught.value.failure is Failure.DAMAGED
    assert bucket.names() == []
    wait_until(bucket.cleared_away, what="the parts' removal")


def test_a_reader_that_fails(bucket: Bucket) -> None:
    def read(offset: int, into: memoryview) -> None:
        if offset > 10 * MIB:
            raise ValueError("no more")
        into[:] = DATA[offset : offset + len(into)]

    with pytest.raises(ValueError, match="no more"):
        bucket.store.put("x", len(DATA), read, DIGEST)
    assert bucket.names() == []
    wait_until(bucket.cleared_away, what="the parts' removal")


def test_a_store_that_loses_an_upload(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a cluster does that lost a node: it is sent again from the beginning."""
    name, losses = gcs.bucket(), ["PUT /.*partNumber=2", "POST /.*uploadId="]

    class Losing(list[str]):
        def append(self, asked: str) -> None:
            super().append(asked)
            if losses and re.match(losses[0], asked):
                losses.pop(0)
                gcs.buckets[name].uploads.clear()

    monkeypatch.setattr(gcs, "asked", Losing())
    options = TransportOptions(timeout=5.0, stores=StoreOptions(gcs.options))
    with RetryingStore(f"gs://{name}/", RetryPolicy(options, 2)) as store:
        store.put("x", len(DATA), reader(DATA), DIGEST)
    assert not losses
    assert obstore.get(gcs.client(name), "x").bytes() == DATA


def test_aborted(bucket: Bucket) -> None:
    def read(offset: int, into: memoryview) -> None:
        if offset > 10 * MIB:
            thread = threading.Thread(target=bucket.store.abort)
            thread.start()
            thread.join()
        into[:] = DATA[offset : offset + len(into)]

    with pytest.raises(RequestFailed) as caught:
        bucket.store.put("x", len(DATA), read, DIGEST)
    assert caught.value.failure is Failure.ABORTED
    assert bucket.names() == []
    wait_until(bucket.cleared_away, what="the parts' removal")


def test_aborted_while_the_store_says_nothing(swift: Swift) -> None:
    name = swift.bucket()
    with Line(swift.port, Fault(silent_after=0)) as line:
        given = {**swift.options, "endpoint": f"http://{HOST}:{line.port}"}
        store = open_store(f"s3://{name}/", TransportOptions(stores=StoreOptions(given)))
        timer = threading.Timer(0.3, store.abort)
        timer.start()
        for data in (DATA, DATA[:1000]):
            with pytest.raises(RequestFailed) as caught:
                store.put("x", len(data), reader(data), blake3(data).digest())
            assert caught.value.failure is Failure.ABORTED
        timer.join()
        store.close()


def test_what_landed_is_read_back_where_its_tag_says_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Google, Azure, and some encryption of S3."""
    monkeypatch.setattr("regather.transport.stores.objects._Upload._result", _with_another_tag)
    bucket.store.put("x", len(DATA), reader(DATA), DIGEST)
    assert bucket.count("GET", "/x") == 1
    assert bucket.names() == ["x"]


def _with_another_tag(upload: object, sending: object) -> str:
    sending.result()  # type: ignore[attr-defined]
    return '"opaque"'
