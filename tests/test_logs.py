"""Loggers that do not import ``logging``."""

from __future__ import annotations

import sys
import types

import pytest

from regather.logs import DEBUG, Logger


def test_while_another_thread_imports_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python lists a module before it has run: nobody logs yet."""
    monkeypatch.setitem(sys.modules, "logging", types.ModuleType("logging"))
    logger = Logger("regather.test")
    assert not logger.is_enabled_for(DEBUG)
    logger.debug("nothing")
