"""What AWS's own tools would use: profiles, and endpoints of the environment.

obstore reads keys, region and roles of the environment, and instance metadata, itself; profiles
it does not know.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path

from regather.errors import UsageError, reason
from regather.transport.objects.store_options import checked_endpoint

_CREDENTIALS = {
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
}
_ELSEWHERE = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")
"""Ways to credentials that only AWS's own tools know."""
_BEFORE_DEFAULT = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Ways that obstore knows, and that somebody has set up for this very process."""


def complete(
    given: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The options of the user, and what the environment and the profile add to them.

    Raises UsageError where a profile is named that does not exist, or one that is of no use.
    """
    environment = os.environ if environment is None else environment
    options = dict(given)
    named = options.pop("profile", "")
    profile = named or environment.get("AWS_PROFILE", "")
    settings = _profile(profile or "default", environment, must_exist=bool(profile))
    found = _found_in(settings)
    ignored = environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    if "endpoint" not in options and not ignored:
        for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
            if value := environment.get(variable):
                options["endpoint"] = checked_endpoint(value, variable)
                break
        else:
            if value := found.get("endpoint"):
                options["endpoint"] = checked_endpoint(value, f"profile {profile or 'default'}")
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if value := environment.get(variable):
            options.setdefault("region", value)
    if value := found.get("region"):
        options.setdefault("region", value)
    if "access_key_id" in options or options.get("skip_signature") == "true":
        return options
    if not named and environment.get("AWS_ACCESS_KEY_ID"):
        return options  # as AWS's own tools: the environment comes before a profile of it
    if "access_key_id" in found and "secret_access_key" in found:
        return options | {k: found[k] for k in _CREDENTIALS.values() if k in found}
    ways = [way for way in _ELSEWHERE if way in settings]
    if ways and (profile or not any(environment.get(name) for name in _BEFORE_DEFAULT)):
        name = profile or "default"
        raise UsageError(
            f"the profile {name} has no keys, but {ways[0]}, which only the tools of AWS support",
            help=f'eval "$(aws configure export-credentials --profile {name} --format env)"',
        )
    if named:
        raise UsageError(
            f"the profile {profile} has no keys",
            help="put aws_access_key_id and aws_secret_access_key into it",
        )
    return options


def _found_in(settings: Mapping[str, str]) -> dict[str, str]:
    """What a profile says, by our keys."""
    found = {ours: settings[theirs] for theirs, ours in _CREDENTIALS.items() if theirs in settings}
    for theirs, ours in (("region", "region"), ("endpoint_url", "endpoint")):
        if settings.get(theirs):
            found[ours] = settings[theirs]
    if endpoint := settings.get("services.s3.endpoint_url"):
        found["endpoint"] = endpoint
    return found


def _profile(name: str, environment: Mapping[str, str], *, must_exist: bool) -> dict[str, str]:
    """The settings of a profile, those of the credentials file before those of the other."""
    home = Path(environment.get("HOME") or Path.home()) / ".aws"
    config = Path(environment.get("AWS_CONFIG_FILE") or home / "config").expanduser()
    credentials = Path(
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    ).expanduser()
    general, secret = _read(config), _read(credentials)
    section = "default" if name == "default" else f"profile {name}"
    if general.has_section(section):
        settings = dict(general.items(section))
    elif general.has_section(name) and name != "default":  # some write it so
        settings = dict(general.items(name))
    else:
        settings = {}
    known = bool(settings) or general.has_section(section)
    if services := settings.get("services"):
        nested = (
            dict(general.items(f"services {services}")).get("s3", "")
            if (general.has_section(f"services {services}"))
            else ""
        )
        settings |= {f"services.s3.{k}": v for k, v in _nested(nested).items()}
    if secret.has_section(name):
        settings |= dict(secret.items(name))
        known = True
    if must_exist and not known:
        raise UsageError(
            f"no profile {name!r} in {credentials} or {config}",
            help="give an existing one: --store-option profile=NAME, or AWS_PROFILE",
        )
    return settings


def _nested(text: str) -> dict[str, str]:
    """Settings in lines of their own below another: ``s3 =`` and then ``endpoint_url = ...``."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(default_section="\0", strict=False)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return parser
    except (OSError, UnicodeError) as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)})") from None
    try:
        parser.read_string(text)
    except configparser.Error as error:  # its text may quote what stands there
        where = (
            f", line {error.lineno}"
            if isinstance(error, configparser.ParsingError) and (hasattr(error, "lineno"))
            else ""
        )
        raise UsageError(
            f"{path}{where}: invalid line", help="write [profile], then lines KEY = VALUE"
        ) from None
    return parser
