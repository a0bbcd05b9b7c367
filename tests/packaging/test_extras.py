"""What errors say about packages that are missing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from regather.server import app
from regather.transport import curl
from regather.transport.objects import clients
from regather.trust import crypto

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("curl", curl.INSTALL),
        ("metrics", app.INSTALL),
        ("stores", clients.INSTALL),
        ("trust", crypto.INSTALL),
    ],
)
def test_they_name_what_the_extra_installs(extra: str, told: str) -> None:
    """The package itself: it can be had wherever this program came from."""
    (package,) = PROJECT["project"]["optional-dependencies"][extra]
    assert told == f"pip install '{package}'"
