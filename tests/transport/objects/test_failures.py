"""What a store answers, and what it means: over real sockets, as obstore makes it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from regather.errors import UsageError
from regather.transport import Failure, RequestFailed, TransportOptions
from regather.transport.objects.clients import check
from regather.transport.objects.connection import ObjectConnection
from regather.transport.objects.store_options import StoreOptions
from regather.transport.stores.open import open_store
from tests.support.rogue import Rogue, sends
from tests.support.tls import issue

DATE = b"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n"
TOKEN = "s3cret-session"


def options_for(url: str, **other: str) -> TransportOptions:
    keys = {"access_key_id": "id", "secret_access_key": "s3cret", "session_token": TOKEN}
    return TransportOptions(
        timeout=30.0, stores=StoreOptions({"endpoint": url, "region": "r", **keys, **other})
    )


def read_on(connection: ObjectConnection) -> None:
    connection.request("s3://bucket/x", 0, 10, 20)
    while connection.receive(memoryview(bytearray(10))) >= 0:
        pass


def asked(answer: bytes, ask: Callable[[ObjectConnection], object] = read_on) -> RequestFailed:
    """How a request fails that is answered so."""
    with Rogue(sends(b"HTTP/1.1 " + answer)) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        try:
            with pytest.raises(RequestFailed) as caught:
                ask(connection)
        finally:
            connection.close()
        assert len(rogue.requests) == 1  # nothing is tried again behind the planner's back
    assert "\n" not in caught.value.what
    assert "s3cret" not in caught.value.what
    return caught.value


def body(status: bytes, code: str = "") -> bytes:
    text = f"<Error><Code>{code}</Code><Message>kind: Timeout</Message></Error>".encode()
    return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (body(b"404 Not Found", "NoSuchKey"), Failure.MISSING),
        (body(b"404 Not Found", "NoSuchBucket"), Failure.FORBIDDEN),
        (body(b"404 Not Found", "ContainerNotFound"), Failure.FORBIDDEN),
        (body(b"400 Bad", "InvalidResourceName"), Failure.FORBIDDEN),
        (body(b"400 Bad", "Md5Mismatch"), Failure.DAMAGED),
        (body(b"409 Conflict", "ContainerBeingDeleted"), Failure.BUSY),
        (body(b"403 Forbidden", "SignatureDoesNotMatch"), Failure.FORBIDDEN),
        (body(b"401 Unauthorized"), Failure.FORBIDDEN),
        (body(b"400 Bad", "ExpiredToken"), Failure.FORBIDDEN),
        (body(b"400 Bad", "AuthorizationHeaderMalformed"), Failure.FORBIDDEN),
        (body(b"400 Bad"), Failure.BAD_RESPONSE),
        (body(b"400 Bad", "RequestTimeout"), Failure.TIMEOUT),
        (body(b"416 Range"), Failure.BAD_RESPONSE),
        (body(b"412 Precondition"), Failure.CHANGED),
        (body(b"429 Many"), Failure.BUSY),
        (body(b"503 Slow Down", "SlowDown"), Failure.BUSY),
        (body(b"500 Oops"), Failure.SERVER_ERROR),
        (body(b"301 Moved"), Failure.BAD_RESPONSE),
        (b"999999 hello\r\n\r\n", Failure.BAD_RESPONSE),
    ],
)
def test_statuses(answer: bytes, expected: Failure) -> None:
    error = asked(answer)
    assert error.failure is expected, error.what


def ranged(told: bytes, length: int, sent: int, date: bytes = DATE) -> bytes:
    head = b"206 Partial\r\nContent-Length: %d\r\nContent-Range: bytes %b\r\n" % (length, told)
    return head + date + b'ETag: "e"\r\n\r\n' + b"x" * sent


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (ranged(b"0-9/20", 10, 5), Failure.TRUNCATED),
        (ranged(b"0-9/20", 5, 5), Failure.TRUNCATED),  # obstore takes that
        (ranged(b"0-4/20", 5, 5), Failure.BAD_RESPONSE),
        (ranged(b"1-10/20", 10, 10), Failure.BAD_RESPONSE),
        (ranged(b"0-9/21", 10, 10), Failure.BAD_RESPONSE),
        (b"206 Partial\r\nContent-Length: 10\r\n\r\n0123456789", Failure.BAD_RESPONSE),
    ],
)
def test_ranges_that_are_not_what_was_asked(answer: bytes, expected: Failure) -> None:
    error = asked(answer)
    assert error.failure is expected, error.what


@pytest.mark.parametrize("lost", [1, 2])
def test_a_connection_that_was_idle_for_too_long(lost: int) -> None:
    """It is sent once more, and not more often."""

    def answer(head: bytes, connection: socket.socket) -> None:
        if len(rogue.requests) > lost:
            connection.sendall(b"HTTP/1.1 " + ranged(b"0-9/20", 10, 10))

    with Rogue(answer) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        if lost == 1:
            assert connection.request("s3://bucket/x", 0, 10, 20)
        else:
            with pytest.raises(RequestFailed) as caught:
                connection.request("s3://bucket/x", 0, 10, 20)
            assert caught.value.failure is Failure.RESET
        connection.close()
        assert len(rogue.requests) == 2


def test_a_store_that_knows_no_ranges() -> None:
    """It is asked again, for all of it."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n" + DATE + b'ETag: "e"\r\n\r\n' + b"x" * 20
    with Rogue(sends(answer)) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        assert not connection.request("s3://bucket/x", 5, 10, 20)
        buffer = memoryview(bytearray(50))
        have = 0
        while have < 20:
            have += connection.receive(buffer[have:])
        connection.close()
        assert len(rogue.requests) == 2
    assert bytes(buffer[:20]) == b"x" * 20


def test_another_version_although_it_was_told_which() -> None:
    error = asked(ranged(b"0-9/20", 10, 10), lambda c: c.request("s3://b/x", 0, 10, 20, '"other"'))
    assert error.failure is Failure.CHANGED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (body(b"507 Full"), Failure.NO_SPACE),
        (body(b"403 Quota", "QuotaExceeded"), Failure.NO_SPACE),
        (body(b"400 Large", "EntityTooLarge"), Failure.TOO_LARGE),
        (body(b"413 Large"), Failure.TOO_LARGE),
        (body(b"412 Precondition"), Failure.EXISTS),
        (body(b"409 Conflict", "ConditionalRequestConflict"), Failure.BUSY),
        (body(b"400 Digest", "BadDigest"), Failure.DAMAGED),
        (body(b"404 None", "NoSuchBucket"), Failure.FORBIDDEN),
        (body(b"404 None", "NoSuchUpload"), Failure.SERVER_ERROR),
        (body(b"400 Bad", "InvalidPart"), Failure.SERVER_ERROR),
        (body(b"503 Slow"), Failure.BUSY),
    ],
)
def test_what_is_answered_to_who_stores(answer: bytes, expected: Failure) -> None:
    def read(offset: int, into: memoryview) -> None:
        into[:] = b"abc"

    from blake3 import blake3

    with Rogue(sends(b"HTTP/1.1 " + answer)) as rogue:
        store = open_store("s3://bucket/", options_for(rogue.url))
        with pytest.raises(RequestFailed) as caught:
            store.put("x", 3, read, blake3(b"abc").digest(), replace=False)
        store.close()
        assert len(rogue.requests) == 1
    assert caught.value.failure is expected, caught.value.what


# -- what a HEAD cannot tell --------------------------------------------------------------------


def reasons(status: bytes, text: bytes) -> Callable[[bytes, socket.socket], None]:
    """Answers all, as a store does: to a HEAD without the body that tells why."""

    def answer(head: bytes, connection: socket.socket) -> None:
        sent = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n" % (status, len(text))
        connection.sendall(sent if head.startswith(b"HEAD") else sent + text)

    return answer


def probe(connection: ObjectConnection, target: str) -> None:
    connection.probe(target)


def look(connection: ObjectConnection, target: str) -> None:
    connection.look(target, 10)


def fetch(connection: ObjectConnection, target: str) -> None:
    connection.fetch(target, 10)


ACCOUNT = {"account_name": "me", "account_key": "c2VjcmV0LWtleQ=="}


@pytest.mark.parametrize("ask", [probe, look, fetch])
@pytest.mark.parametrize(
    ("status", "code", "more", "said"),
    [
        (403, "RequestTimeTooSkewed", "", "clock"),
        (400, "ExpiredToken", "", "expired"),
        (400, "InvalidToken", "", "session token"),
        (403, "InvalidAccessKeyId", "", "AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "<StringToSign>s3cret</StringToSign>", "AWS_SECRET"),
        (403, "AccessDenied", "", "do not permit"),
        (403, "UserSuspended", "", "account"),
        (400, "AuthorizationHeaderMalformed", "", "region"),
        (400, "IllegalLocationConstraintException", "", "region"),
        (403, "InvalidObjectState", "", "restore"),
        (403, "AuthorizationPermissionMismatch", "", "role"),
        (403, "AuthenticationFailed", "<D>The date header is too old</D>", "clock"),
        (
            403,
            "AuthenticationFailed",
            "<D>Signature not valid in the specified time frame: sig=s3cret</D>",
            "expired",
        ),
        (403, "KeyBasedAuthenticationNotPermitted", "", "identity"),
        (403, "Unheard", "", "check the credentials"),
        (403, "", "", "check the credentials"),
    ],
)
def test_the_reason_is_told_although_a_head_has_none(
    status: int, code: str, more: str, said: str, ask: Callable[[ObjectConnection, str], None]
) -> None:
    text = f"<Error><Code>{code}</Code>{more}</Error>".encode()
    with Rogue(reasons(b"%d No" % status, text)) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        with pytest.raises(RequestFailed) as caught:
            ask(connection, "s3://bucket/x")
        connection.close()
        assert [request[:4] for request in rogue.requests] == [b"HEAD", b"GET "]
    assert said in caught.value.what
    assert caught.value.failure in (Failure.FORBIDDEN, Failure.BAD_RESPONSE)
    assert "s3cret" not in caught.value.what
    assert "127.0.0.1" not in caught.value.what


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_the_reason_is_told_by_google_and_azure_too(scheme: str) -> None:
    text = b"<Error><Code>AccountIsDisabled</Code></Error>"
    with Rogue(reasons(b"403 No", text)) as rogue:
        given = {"gs": {"skip_signature": "true"}, "az": ACCOUNT}[scheme]
        stores = StoreOptions({"endpoint": rogue.url, **given})
        connection = ObjectConnection(TransportOptions(timeout=30.0, stores=stores))
        with pytest.raises(RequestFailed, match="the account cannot be used"):
            connection.probe(f"{scheme}://bucket/x")
        connection.close()


def test_a_bucket_in_another_region() -> None:
    with Rogue(reasons(b"301 Moved", b"<Error><Code>PermanentRedirect</Code></Error>")) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        for ask in (probe, look, fetch):
            with pytest.raises(RequestFailed, match="another region"):
                ask(connection, "s3://bucket/x")
        connection.close()


def test_a_bucket_that_is_not_there_is_told_to_who_reads() -> None:
    with Rogue(reasons(b"404 No", b"<Error><Code>NoSuchBucket</Code></Error>")) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        for ask in (look, fetch):
            with pytest.raises(RequestFailed, match="does not exist"):
                ask(connection, "s3://bucket/x")
        connection.close()


# -- secrets stay where they belong -----------------------------------------------------------


def test_a_redirect_leads_no_key_elsewhere() -> None:
    with Rogue(sends(ranged(b"0-9/20", 10, 10).join((b"HTTP/1.1 ", b"")))) as other:
        answer = b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\nLocation: %bb/x\r\n\r\n"
        with Rogue(sends(answer % other.url.encode())) as rogue:
            connection = ObjectConnection(options_for(rogue.url))
            connection.request("s3://bucket/x", 0, 10, 20)
            connection.close()
        assert b"authorization: AWS4" in rogue.requests[0]
        assert all(b"authorization" not in request.lower() for request in other.requests)


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    tls = issue(tmp_path)
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.key)
    with Rogue(sends(b"")) as other:
        answer = b"HTTP/1.1 307 Go\r\nContent-Length: 0\r\nLocation: %bb/x\r\n\r\n"
        with Rogue(sends(answer % other.url.encode()), tls=context) as rogue:
            options = options_for(rogue.url)
            options = replace(
                options,
                stores=StoreOptions(
                    {"endpoint": rogue.url, "access_key_id": "i", "secret_access_key": "s"},
                    str(tls.authority),
                ),
            )
            connection = ObjectConnection(options)
            with pytest.raises(RequestFailed):
                connection.request("s3://bucket/x", 0, 10, 20)
            connection.close()
            assert len(rogue.requests) == 1
        assert other.requests == []


def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    tls = issue(tmp_path)
    import ssl

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate, tls.key)
    with Rogue(sends(b""), tls=context) as rogue:
        connection = ObjectConnection(options_for(rogue.url))
        with pytest.raises(RequestFailed, match="--cacert") as caught:
            connection.request("s3://bucket/x", 0, 10, 20)
        connection.close()
    assert caught.value.failure is Failure.FORBIDDEN


def test_plain_http_to_another_machine_is_told(caplog: pytest.LogCaptureFixture) -> None:
    options = options_for("http://store.example")
    for _ in range(3):
        check("s3://bucket/x", options)
        check("s3://other/x", options)
    assert [r.message for r in caplog.records if "plain http" in r.message] != []
    assert len(caplog.records) == 1
    caplog.clear()
    check("s3://bucket/x", options_for("http://127.0.0.1:9"))
    assert not caplog.records


def test_without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="obstore") as caught:
        check("s3://bucket/x", TransportOptions())
    assert "pip install 'obstore" in str(caught.value)
    connection = ObjectConnection(TransportOptions())
    with pytest.raises(RequestFailed, match="pip install 'obstore"):  # of a manifest, it may lack
        connection.request("s3://bucket/x", 0, 1, 1)
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(RequestFailed, match="pip install 'obstore"):
        connection.probe("s3://bucket/x")


@pytest.mark.parametrize(
    ("other", "host"),
    [
        ({}, "store.invalid:9"),
        ({"virtual_hosted_style_request": "true"}, "bucket.store.invalid:9"),
    ],
)
def test_whom_it_asks(monkeypatch: pytest.MonkeyPatch, other: dict[str, str], host: str) -> None:
    """The endpoint of the option, with the bucket in its name where that is wanted."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://another.invalid:9")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    connection = ObjectConnection(options_for("http://store.invalid:9", **other))
    with pytest.raises(RequestFailed) as caught:
        connection.request("s3://bucket/x", 0, 10, 20)
    connection.close()
    assert caught.value.failure is Failure.UNREACHABLE
    assert f": {host}: unknown host" in caught.value.what
