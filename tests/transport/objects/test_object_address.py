"""Addresses of objects."""

from __future__ import annotations

import pytest

from regather.transport.objects.object_address import ObjectAddress, address_of


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("s3://bucket/a/b.dat", ObjectAddress("s3", "bucket", "a/b.dat")),
        ("S3://Bucket_1/", ObjectAddress("s3", "Bucket_1", "")),
        ("gs://my.bucket", ObjectAddress("gs", "my.bucket", "")),
        ("az://$web/x/", ObjectAddress("az", "$web", "x/")),
        ("s3://b1/a%20b/%C3%A4%25", ObjectAddress("s3", "b1", "a b/ä%")),
        ("s3://b1/a b/ä", ObjectAddress("s3", "b1", "a b/ä")),
        ("s3://b1/q%3Fa%23b", ObjectAddress("s3", "b1", "q?a#b")),
    ],
)
def test_read(url: str, address: ObjectAddress) -> None:
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "http://h/x",
        "s3:///x",
        "s3://bucket:80/x",
        "s3://user@bucket/x",
        "s3://evil.example#@bucket/x",
        "s3://a%2Fb/x",
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://bucket/%2E%2E/x",
        "s3://bucket/a%0Ab",
        "s3://bucket/a?b",
        "s3://bucket/%FF",
        "s3://bucket/" + "x" * 1025,
    ],
)
def test_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        address_of(url)
    assert "\n" not in str(caught.value)
