"""Which programs are here, in which versions, and how each is asked to download."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.nginx import find_nginx

from bench.data import METALINK_PIECE, Original
from bench.process import environment

_NUMBER = re.compile(r"[0-9]+(\.[0-9a-z]+)+")
_VERSION_ARGUMENT = {"nginx": "-v"}
PEERS = ("nginx", "aria2c", "axel", "wget2", "curl", "cp", "sync", "sh")

# aria2c preallocates by writing zeros by default and gathers writes in a cache: both cost it time
# here, so it is measured with what serves it best. Its -x counts connections by host name, ports
# not considered: with three mirrors on one address, less than -x3 would leave mirrors unused.
ARIA2C_TUNING = ("--file-allocation=falloc", "--disk-cache=0")
ARIA2C_VARIANTS = (("-s3", "-x3"), ("-s6", "-x6"))
"""The last one, which was the faster one in every record, is also that of the rows with hashes."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that is installed."""

    name: str
    path: str
    version: str


def find_regather() -> str | None:
    """Return the ``regather`` command of this environment, else the one on the path."""
    beside = Path(sys.executable).with_name("regather")
    return str(beside) if beside.exists() else shutil.which("regather")


def _version(path: str, argument: str) -> str:
    try:
        done = subprocess.run(
            [path, argument],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            check=False,
            env=environment(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    found = _NUMBER.search(done.stdout or done.stderr)
    return found[0] if found else "?"


def find_tools() -> dict[str, Tool]:
    """Return what is installed, by name."""
    paths = {"regather": find_regather()}
    paths |= {name: find_nginx() if name == "nginx" else shutil.which(name) for name in PEERS}
    return {
        name: Tool(
            name,
            path,
            "" if name == "sh" else _version(path, _VERSION_ARGUMENT.get(name, "--version")),
        )
        for name, path in paths.items()
        if path
    }


def aria2c(
    urls: Sequence[str],
    dest: Path,
    *,
    options: Sequence[str] = (),
    authority: Path | None = None,
) -> list[str]:
    """One file from all ``urls`` at once."""
    trust = [f"--ca-certificate={authority}"] if authority else []
    place = ["-d", str(dest.parent), "-o", dest.name]
    return ["aria2c", "--no-conf", "-q", *options, *trust, *place, *urls]


def aria2c_metalink(metalink: Path, folder: Path, options: Sequence[str]) -> list[str]:
    """The file of ``metalink``, under the name given there, with its piece hashes checked."""
    return ["aria2c", "--no-conf", "-q", *options, "-d", str(folder), "-M", str(metalink)]


def axel(urls: Sequence[str], dest: Path) -> list[str]:
    """One file from all ``urls`` over six connections."""
    return ["axel", "-q", "-n6", "-o", str(dest), *urls]


def wget2(url: str, dest: Path) -> list[str]:
    """One stream (its --chunk-size is slower here)."""
    return ["wget2", "--no-config", "--no-hsts", "-q", "-O", str(dest), url]


def curl(url: str, dest: Path, *, authority: Path | None = None) -> list[str]:
    """One stream."""
    trust = ["--cacert", str(authority)] if authority else []
    return ["curl", "-q", "-sS", "-f", *trust, "-o", str(dest), url]


def floor(
    urls: Sequence[str], dest: Path, size: int, *, authority: Path | None = None
) -> list[str]:
    """The bare loop of bench.floor."""
    trust = ["env", f"CACERT={authority}"] if authority else []
    return [*trust, sys.executable, "-m", "bench.floor", str(dest), str(size), *urls]


def then_fsync(command: Sequence[str], dest: Path) -> list[str]:
    """``command``, then fsync of ``dest``: what a tool that does not sync still owes."""
    return ["sh", "-c", '"$@" && exec sync "$0"', str(dest), *command]


def copy_and_hash(source: Path, dest: Path) -> list[str]:
    """``cp`` and then BLAKE3 of the source over an mmap, one thread: the two jobs of a split."""
    script = "import sys; from blake3 import blake3; blake3().update_mmap(sys.argv[1]).digest()"
    return [
        *("sh", "-c", 'cp "$0" "$1" && exec "$2" -c "$3" "$0"'),
        *(str(source), str(dest), sys.executable, script),
    ]


def get(
    manifest: Path, servers: Sequence[str], dest: Path, *, authority: Path | None = None
) -> list[str]:
    """``regather get``: always verified, always synced."""
    where = [word for url in servers for word in ("--server", url)]
    trust = ["--cacert", str(authority)] if authority else []
    place = ["-o", str(dest), "--force", "--quiet"]
    return [find_regather() or "regather", "get", str(manifest), *where, *trust, *place]


def split(path: Path, out: Path, *, replicas: int = 1) -> list[str]:
    """``regather split`` for three servers."""
    copies = ["--replicas", str(replicas)] if replicas > 1 else []
    base = [find_regather() or "regather", "split", str(path), "--out", str(out)]
    return [*base, "--servers", "3", *copies]


def split_coded(path: Path, out: Path) -> list[str]:
    """``regather split`` with parity, a server a fragment."""
    base = [find_regather() or "regather", "split", str(path), "--out", str(out)]
    return [*base, "--fragments", "4", "--parity", "2", "--servers", "6"]


def repair(manifest: Path, servers: Sequence[str], token: Path, temp: Path) -> list[str]:
    """``regather repair`` of what is hosted at ``servers``, all of 127.0.0.1."""
    where = [word for url in servers for word in ("--server", url)]
    rest = ["--token", f"127.0.0.1={token}", "--temp", str(temp), "--quiet"]
    return [find_regather() or "regather", "repair", str(manifest), *where, *rest]


def coded_floor(path: Path, out: Path) -> list[str]:
    """The bare pass of bench.coded_floor."""
    return [sys.executable, "-m", "bench.coded_floor", str(path), str(out)]


def write_metalink(path: Path, original: Original, urls: Sequence[str]) -> None:
    """Write an RFC 5854 Metalink with the hash of the whole and of every 8 MiB."""
    hashes = "".join(f"<hash>{piece}</hash>" for piece in original.pieces)
    mirrors = "".join(f'<url priority="1">{url}</url>' for url in urls)
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<metalink xmlns="urn:ietf:params:xml:ns:metalink">'
        f'<file name="{original.path.name}"><size>{original.size}</size>'
        f'<hash type="sha-256">{original.sha256}</hash>'
        f'<pieces length="{METALINK_PIECE}" type="sha-256">{hashes}</pieces>'
        f"{mirrors}</file></metalink>\n",
        encoding="utf-8",
    )
