"""What a reader must know of the machine to judge the figures."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import compiled
from bench.model import GIB
from bench.process import ROOT
from bench.scratch import Scratch, filesystem
from bench.tools import PEERS, Tool

_LIBRARIES = ("blake3", "aiohttp", "msgspec", "zfec", "pyeclib")


def processor() -> str:
    """Return how many cores of which processor there are."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{os.cpu_count()} cores of {name}"


def _library(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} is missing"


def _revision() -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def describe(scratch: Scratch, tools: Mapping[str, Tool]) -> list[tuple[str, str]]:
    """Return what is worth knowing, as pairs of name and text."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    ours = tools["regather"].version if "regather" in tools else "regather is not installed"
    revision = _revision()
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    pairs = [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("regather", f"{ours} ({revision})" if revision else ours),
        ("processor", processor()),
        ("memory", f"{memory:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("load average at the start", load),
        ("scratch", f"{filesystem(scratch.memory)}; disk: {filesystem(scratch.disk)}"),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("planner", compiled.how()),
        ("libraries", ", ".join(_library(name) for name in _LIBRARIES)),
    ]
    pairs += [
        (name, tools[name].version)
        for name in PEERS
        if name in tools and tools[name].version and name not in {"cp", "sync"}
    ]
    return pairs
