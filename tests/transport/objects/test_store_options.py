"""What the user sets for object stores."""

from __future__ import annotations

import pytest

from regather.errors import UsageError
from regather.transport.objects.store_options import StoreOptions, for_readers, parse_options


def test_the_nearest_scope_counts() -> None:
    options = StoreOptions(
        {
            "region": "general",
            "s3:region": "of-s3",
            "s3://one:region": "of-one",
            "s3://one:endpoint": "https://one.example/",
            "skip_signature": "TRUE",
        }
    )
    assert options.of("s3", "one") == {
        "region": "of-one",
        "endpoint": "https://one.example",
        "skip_signature": "true",
    }
    assert options.of("s3", "two")["region"] == "of-s3"
    assert options.of("gs", "one") == {"skip_signature": "true"}  # it knows no region


@pytest.mark.parametrize("name", ["aws_endpoint_url_s3", "endpoint_url", "AWS_ENDPOINT"])
def test_names_of_the_stores_own_tools_are_known(name: str) -> None:
    options = StoreOptions({name: "http://127.0.0.1:9"})
    assert options.of("s3", "b") == {"endpoint": "http://127.0.0.1:9"}


def test_written_on_the_command_line() -> None:
    given = ["endpoint=http://h:1/?", "s3://b:region=a=b"]
    assert parse_options(given) == {"endpoint": "http://h:1/?", "s3://b:region": "a=b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("endpoint", "no ="),
        ("=x", "wrong form"),
        ("ftp:endpoint=x", "wrong form"),
        ("s3://b/c:endpoint=x", "wrong form"),
        ("nonsense=x", "unknown option"),
        ("gs:region=x", "unknown option for gs://"),
    ],
)
def test_what_is_no_option(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_options([text])


@pytest.mark.parametrize("name", ["secret_access_key", "s3:aws_session_token", "az:account_key"])
def test_secrets_do_not_come_by_the_command_line(name: str) -> None:
    with pytest.raises(UsageError, match="a secret") as caught:
        parse_options([f"{name}=s3cret"])
    assert "s3cret" not in str(caught.value)
    assert StoreOptions({name: "s3cret"})  # but from Python
    assert "s3cret" not in repr(StoreOptions({name: "s3cret"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("endpoint", "127.0.0.1:9000"),
        ("endpoint", "ftp://h"),
        ("endpoint", "http://h/?q"),
        ("endpoint", "http://user:s3cret@h"),
        ("endpoint", "http://h:99999"),
        ("skip_signature", "yes"),
        ("region", ""),
        ("region", "a\nb"),
    ],
)
def test_values_that_are_none(name: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        StoreOptions({name: value})
    assert "s3cret" not in str(caught.value)


def test_readers_need_to_know_where_and_not_who() -> None:
    given = [
        *("endpoint=http://h:1", "profile=mine", "s3:region=eu", "gs:skip_signature=true"),
        *("s3://b:request_payer=true", "s3://other:region=us", "sse_kms_key_id=k", "account=a"),
    ]
    here = ["endpoint=http://h:1", "s3:region=eu", "s3://b:request_payer=true"]
    assert for_readers(given, ["s3://b/d/", "https://h/"]) == here
    assert for_readers(given, ["az://c/"]) == ["endpoint=http://h:1", "account=a"]
    assert for_readers(given, ["http://h/", "/srv/s3"]) == []
