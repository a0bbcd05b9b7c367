from __future__ import annotations

import os

import pytest
from aiohttp.multipart import content_disposition_filename, parse_content_disposition
from hypothesis import given
from hypothesis import strategies as st

from regather.server.media_types import content_disposition, content_headers, content_type_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("file_fragment_1.dat", "application/octet-stream"),
        ("file.regather.json", "application/json"),
        ("README", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("film.mp4", "video/mp4"),
        ("FILM.MP4", "video/mp4"),
        ("film.webm", "video/webm"),
        ("page.html", "text/html"),
        ("data.csv", "text/csv"),
        ("data.parquet", "application/vnd.apache.parquet"),
        ("curl_7.88.deb", "application/vnd.debian.binary-package"),
        ("regather-1.0-py3-none-any.whl", "application/octet-stream"),
        # What is compressed is sent as it is, so it is no text and no tape archive.
        *(
            ("a.tar.gz", "application/gzip"),
            ("a.tgz", "application/gzip"),
            ("a.txt.gz",) * 1 + ("application/gzip",),
        ),
        ("page.html.xz", "application/x-xz"),
        ("page.svgz", "application/gzip"),
        ("page.html.br", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
        ("http://a/x.html?y", "application/octet-stream"),
    ],
)
def test_types(name: str, kind: str) -> None:
    assert content_type_of(name) == kind


@pytest.mark.parametrize("name", ["a.html", "a.svg", "a.xml", "a.xhtml", "a.meta4", "a.HTM"])
def test_a_browser_runs_no_script_of_what_it_shows(name: str) -> None:
    assert content_headers(name, download=False)["Content-Security-Policy"] == "sandbox"


@pytest.mark.parametrize("name", ["a.dat", "a.mp4", "a.pdf", "a.txt", "a.json"])
def test_what_has_no_script_is_not_restricted(name: str) -> None:
    headers = content_headers(name, download=False)
    assert "Content-Security-Policy" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a b.dat", 'attachment; filename="a b.dat"'),
        ("ü.dat", "attachment; filename=\"_.dat\"; filename*=UTF-8''%C3%BC.dat"),
        ('a"b.dat', "attachment; filename=\"a_b.dat\"; filename*=UTF-8''a%22b.dat"),
        (
            os.fsdecode(b"\xff.dat"),
            "attachment; filename=\"_.dat\"; filename*=UTF-8''%EF%BF%BD.dat",
        ),
    ],
)
def test_names_to_keep_a_file_under(name: str, value: str) -> None:
    assert content_headers(name, download=True)["Content-Disposition"] == value
    assert "Content-Disposition" not in content_headers(name, download=False)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\"), min_size=1))
def test_every_name_comes_back(name: str) -> None:
    value = content_disposition(name)
    assert value.isascii()
    assert value.isprintable()
    kind, parameters = parse_content_disposition(value)
    assert kind == "attachment"
    assert content_disposition_filename(parameters) == name
