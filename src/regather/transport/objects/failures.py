"""What obstore raises, as failures of ours.

Its classes tell a few failures apart, and the text of the others the rest: the status and the code
that the store answered, or what happened to the connection. No text of obstore's gets out, save
codes: it holds URLs, which may be signed.
"""

from __future__ import annotations

import re

from regather.transport.base import Failure, RequestFailed
from regather.transport.head import failure_of
from regather.transport.objects.codes import advice_of, failure_by_code
from regather.transport.objects.guard import STATUSES, why

__all__ = ["StoreFailed", "failed", "knows_no_ranges", "lost_before_an_answer"]

_STATUS = re.compile(r"status code: (\d{3})|\bstatus: (\d{3}),|\(code: (\d{3})\)")
"""The last: of a removal at Azure, which obstore always asks for as one of several."""
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_NO_CONTAINER = "The specified container does not exist"
"""All that a removal at Azure says of it."""
_KIND = re.compile(r"\bkind: (Connect|Timeout|Request|Interrupted|Decode|Unknown)\b")
_STATUSES = {
    409: Failure.EXISTS,
    412: Failure.CHANGED,
    413: Failure.TOO_LARGE,
    416: Failure.BAD_RESPONSE,
    507: Failure.NO_SPACE,
}
_KINDS = {
    "Connect": Failure.UNREACHABLE,
    "Timeout": Failure.TIMEOUT,
    "Request": Failure.RESET,
    "Interrupted": Failure.RESET,
    "Decode": Failure.BAD_RESPONSE,
    "Unknown": Failure.RESET,
}
_LOST = ("IncompleteMessage", "ConnectionReset", "BrokenPipe", "Canceled")
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_ENDPOINT = re.compile(r"Error performing [A-Z]+ https?://([^/?\s]+)")
_NO_CREDENTIALS = (
    ": no credentials were found: set them as for the tools of the store "
    "(environment, profile), or use --store-option skip_signature=true for public data"
)
_METADATA = re.compile(
    r"169\.254\.|metadata\.google\.internal|metadata/identity|fd00:ec2"
    r"|https?://[^/\s]+/computeMetadata/"  # where GCE_METADATA_HOST says
)


class StoreFailed(RequestFailed):
    """What a store answered."""

    code = ""
    """Its own word for it; empty where it told none, as it can tell none to a HEAD."""


def knows_no_ranges(error: Exception) -> bool:
    """Whether the store sent the whole object although a range was asked for."""
    text = str(error)
    return "NotPartial" in text or "non-partial response" in text


def lost_before_an_answer(error: Exception) -> bool:
    """Whether the connection ended without a byte of an answer.

    A store may close an idle connection at any time, also just when it is used again: that is no
    failure of its own, and the request may be sent once more.
    """
    text = str(error)
    return "SendRequest" in text and any(sign in text for sign in _LOST)


def failed(error: Exception, what: str, *, storing: bool = False) -> RequestFailed:
    """What obstore raised on ``what``, an object's address, as a failure of ours."""
    text = str(error)
    name = type(error).__name__
    match = _STATUS.search(text)
    status = int(match[match.lastindex or 0]) if match else None
    code = found[1] if (found := _CODE.search(text)) else ""
    if not code and _NO_CONTAINER in text:
        code = "ContainerNotFound"
    if _METADATA.search(text.partition("\n")[0]):
        return RequestFailed(Failure.FORBIDDEN, f"{what}{_NO_CREDENTIALS}")
    if name == "UnauthenticatedError" and status is None:
        return RequestFailed(Failure.FORBIDDEN, f"{what}{_NO_CREDENTIALS}")
    if status in STATUSES:
        place = where[1] if (where := _ENDPOINT.search(text)) else ""
        return RequestFailed(STATUSES[status], f"{what}: {why(place, status)}")
    if status is not None:
        shown = f"{what}: HTTP {status}" + (f" ({code})" if code else "")
        failure = failure_by_code(code) or _STATUSES.get(status) or failure_of(status)
        if failure is Failure.CHANGED and storing:
            failure = Failure.EXISTS
        advice = advice_of(code, text)
        if failure is Failure.FORBIDDEN and not advice:
            advice = "check the credentials and their permissions"
        told = StoreFailed(failure, shown + (f"; {advice}" if advice else ""), status=status)
        told.code = code
        return told
    if isinstance(error, FileNotFoundError):
        return RequestFailed(Failure.MISSING, f"{what}: not there")
    if "BareRedirect" in text or "redirect without LOCATION" in text:
        return RequestFailed(
            Failure.BAD_RESPONSE,
            f"{what}: is in another region; use --store-option region=NAME",
        )
    if certificate := _CERTIFICATE.search(text):
        advice = "; trust its certificate authority with --cacert FILE" * (
            certificate[1] == "UnknownIssuer"
        )
        return RequestFailed(
            Failure.FORBIDDEN, f"{what}: certificate refused ({certificate[1]}){advice}"
        )
    return RequestFailed(*_of_connection(text, what))


def _of_connection(text: str, what: str) -> tuple[Failure, str]:
    if "IncompleteBody" in text or "UnexpectedEof" in text:
        return Failure.TRUNCATED, f"{what}: the body was truncated"
    if "Parse(" in text:
        return Failure.BAD_RESPONSE, f"{what}: the response is not HTTP"
    if kind := _KIND.search(text):
        failure = _KINDS[kind[1]]
        if failure is Failure.UNREACHABLE and "TimedOut" in text:
            failure = Failure.TIMEOUT
        at = f" at {where[1]}" if (where := _ENDPOINT.search(text)) else ""
        return failure, f"{what}: {failure.value}{at}"
    first = text.partition("\n")[0]
    first = re.sub(r"https?://\S+", "...", first).removeprefix("Generic S3 error: ")
    return Failure.BAD_RESPONSE, f"{what}: {first[:200]}"
