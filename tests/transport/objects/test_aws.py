"""Profiles and variables, by the rules of AWS's own tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from regather.errors import UsageError
from regather.transport.objects.aws import complete

CREDENTIALS = """\
[default]
aws_access_key_id = default-id
aws_secret_access_key = default-secret

[work]
aws_access_key_id = work-id
aws_secret_access_key = work%secret
aws_session_token = work-token
"""
CONFIG = """\
[default]
region = default-region

[profile work]
region = work-region
services = local

[profile plain]
region = plain-region
endpoint_url = https://plain.example

[profile single]
sso_session = somewhere
region = r

[services local]
s3 =
  endpoint_url = http://127.0.0.1:9000
dynamodb =
  endpoint_url = http://127.0.0.1:1
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(CREDENTIALS)
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    return {"HOME": str(tmp_path)}


def test_the_default_profile(home: dict[str, str]) -> None:
    assert complete({}, home) == {
        "access_key_id": "default-id",
        "secret_access_key": "default-secret",
        "region": "default-region",
    }


@pytest.mark.parametrize("by", ["option", "environment"])
def test_a_named_profile(home: dict[str, str], by: str) -> None:
    given = {"profile": "work"} if by == "option" else {}
    environment = home if by == "option" else {**home, "AWS_PROFILE": "work"}
    assert complete(given, environment) == {
        "access_key_id": "work-id",
        "secret_access_key": "work%secret",
        "session_token": "work-token",
        "region": "work-region",
        "endpoint": "http://127.0.0.1:9000",
    }


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(CREDENTIALS)
    (tmp_path / "d").write_text(CONFIG)
    environment = {
        "HOME": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "c"),
        "AWS_CONFIG_FILE": str(tmp_path / "d"),
    }
    assert complete({}, environment)["access_key_id"] == "default-id"


def test_keys_of_the_environment_come_first_but_not_before_an_option(home: dict[str, str]) -> None:
    """obstore reads those of the environment itself."""
    environment = {**home, "AWS_ACCESS_KEY_ID": "x", "AWS_PROFILE": "work"}
    assert "access_key_id" not in complete({}, environment)
    assert complete({}, environment)["region"] == "work-region"
    assert complete({"profile": "work"}, environment)["access_key_id"] == "work-id"


def test_endpoints(home: dict[str, str]) -> None:
    """The option, that of S3, that of all services, the profile."""
    environment = {**home, "AWS_PROFILE": "plain"}
    assert complete({}, environment)["endpoint"] == "https://plain.example"
    environment["AWS_ENDPOINT_URL"] = "https://all.example/"
    assert complete({}, environment)["endpoint"] == "https://all.example"
    environment["AWS_ENDPOINT_URL_S3"] = "https://s3.example"
    assert complete({}, environment)["endpoint"] == "https://s3.example"
    given = {"endpoint": "https://option.example"}
    assert complete(given, environment)["endpoint"] == "https://option.example"
    environment["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
    assert "endpoint" not in complete({}, environment)


def test_regions(home: dict[str, str]) -> None:
    environment = {**home, "AWS_DEFAULT_REGION": "a"}
    assert complete({}, environment)["region"] == "a"
    environment["AWS_REGION"] = "b"
    assert complete({}, environment)["region"] == "b"
    assert complete({"region": "c"}, environment)["region"] == "c"


def test_what_everybody_may_read_needs_no_keys(home: dict[str, str]) -> None:
    assert "access_key_id" not in complete({"skip_signature": "true"}, home)


@pytest.mark.parametrize(
    ("given", "environment", "says"),
    [
        ({"profile": "none"}, {}, "no profile 'none'"),
        ({}, {"AWS_PROFILE": "none"}, "no profile 'none'"),
        ({}, {"AWS_PROFILE": "none", "AWS_ACCESS_KEY_ID": "x"}, "no profile 'none'"),
        ({"profile": "single"}, {}, "sso_session"),
        ({"profile": "plain"}, {}, "no keys"),
        ({}, {"AWS_ENDPOINT_URL": "nonsense"}, "AWS_ENDPOINT_URL: not the address"),
    ],
)
def test_what_cannot_be_used(
    home: dict[str, str], given: dict[str, str], environment: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        complete(given, {**home, **environment})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("by", ["option", "environment", "default"])
@pytest.mark.parametrize(
    "way",
    [
        "sso_session = here",
        "sso_start_url = https://here.example",
        "role_arn = arn:aws:iam::1:role/r\nsource_profile = work",
        "credential_process = /bin/keys",
        "login_session = arn:aws:iam::1:user/u",
    ],
)
def test_ways_that_only_awss_own_tools_know(home: dict[str, str], way: str, by: str) -> None:
    """One line, with the command that gets keys from them."""
    folder = Path(home["HOME"], ".aws")
    name = "default" if by == "default" else "other"
    (folder / "credentials").write_text("")
    (folder / "config").write_text(f"[{'profile ' * (by != 'default')}{name}]\n{way}\n")
    key = way.partition(" ")[0]
    given = {"profile": name} if by == "option" else {}
    environment = home | ({"AWS_PROFILE": name} if by == "environment" else {})
    with pytest.raises(UsageError, match=f"profile {name} has no keys, but {key}") as e:
        complete(given, environment)
    assert e.value.help == (
        f'eval "$(aws configure export-credentials --profile {name} --format env)"'
    )
    assert complete({}, environment | {"AWS_ACCESS_KEY_ID": "x"}) == {}  # what that sets


def test_what_is_set_up_for_this_process_comes_before_the_default_profile(
    home: dict[str, str],
) -> None:
    folder = Path(home["HOME"], ".aws")
    (folder / "credentials").write_text("")
    (folder / "config").write_text("[default]\nsso_session = here\n")
    assert complete({}, {**home, "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}) == {}


def test_a_file_that_is_none(home: dict[str, str]) -> None:
    Path(home["HOME"], ".aws", "credentials").write_text("s3cret without a section\n")
    with pytest.raises(UsageError, match="invalid line") as caught:
        complete({}, home)
    assert "s3cret" not in str(caught.value)
