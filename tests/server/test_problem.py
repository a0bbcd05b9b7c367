from __future__ import annotations

import json

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from regather.server.problem import problem
from tests.support.steps import assert_linear

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def kind_for(*accept: str) -> str:
    headers = CIMultiDict([("Host", "x"), *(("Accept", line) for line in accept)])
    return problem(make_mocked_request("GET", "/", headers), 404, "not found").content_type


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ([], "application/problem+json"),
        (["*/*"], "application/problem+json"),  # curl, wget
        (["application/problem+json"], "application/problem+json"),
        (["application/json"], "application/problem+json"),
        (["text/plain, application/problem+json"], "application/problem+json"),
        (["text/plain;q=0.5, application/json;q=0.6"], "application/problem+json"),
        (["video/mp4"], "application/problem+json"),  # nothing fits: 15.5.7 allows any
        (["text/plain;q=0, */*"], "application/problem+json"),
        (["*/*, text/plain;q=x"], "application/problem+json"),  # no quality: ignored
        ([FIREFOX], "text/plain"),
        (["text/plain"], "text/plain"),
        (["TEXT/HTML"], "text/plain"),
        (["text/*;q=0.9", "application/json;q=0.1"], "text/plain"),
        (["application/json;q=0, */*"], "text/plain"),
    ],
)
def test_what_a_client_gets(accept: list[str], kind: str) -> None:
    assert kind_for(*accept) == kind


def test_a_document() -> None:
    request = make_mocked_request("GET", "/", {"Host": "x"})
    answer = problem(request, 503, "no source", headers={"Retry-After": "5"}, missing=["a", "b"])
    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Cache-Control"] == "no-store"
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {
        "title": "Service Unavailable",
        "status": 503,
        "detail": "no source",
        "missing": ["a", "b"],
    }


def test_a_line_of_text() -> None:
    request = make_mocked_request("GET", "/", {"Host": "x", "Accept": "text/plain"})
    assert problem(request, 599, "no source", missing=["a"]).text == "no source\n"


@pytest.mark.parametrize("piece", ["a", ";", ",", "q=", ";q=0", " ", "*/*,", "q=0.0", "\t"])
def test_long_headers_cost_no_more_than_their_length(piece: str) -> None:
    assert_linear(lambda count: kind_for(piece * count, f";q={piece * count}"), 1000)
