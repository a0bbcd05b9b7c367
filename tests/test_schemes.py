"""Which addresses are reached over a network."""

import pytest

from regather.schemes import HTTP, listed, scheme_of


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("http://h/f", "http"),
        ("HTTPS://h/f", "https"),
        ("h:80/f", ""),
        ("/folder/file", ""),
        ("", ""),
        ("file:///etc/passwd", "file"),
    ],
)
def test_the_scheme_is_what_stands_before_two_slashes(text: str, scheme: str) -> None:
    assert scheme_of(text) == scheme


def test_schemes_are_listed_for_people() -> None:
    assert listed(HTTP) == "http:// or https://"
    assert listed(frozenset(("a", "b", "c"))) == "a://, b:// or c://"
    assert listed(frozenset(("a",))) == "a://"
