"""A page that is followed from its first block to its last one, as a reader would."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.docs.blocks import Block

PORT = re.compile(r"(?<=localhost:|127.0.0.1:|irst-port )\d{4}\b|(?<=--port )\d{4}\b")
LIMIT = 150
PRELUDE = r"""
set -euo pipefail
servers=()
regather() {
    case "${1:-}" in
    serve | cluster | gateway)
        local told; told=$(mktemp -p "$SESSION")
        command regather "$@" > "$told" &
        servers+=("$! $*")
        until grep -qE 'Serving|listening|Ctrl-C' "$told"; do
            kill -0 $! || { echo "this server ended: $*" >&2; return 1; }
            sleep 0.05
        done ;;
    *) command regather "$@" ;;
    esac
}
stop() {
    local server
    for server in "${servers[@]}"; do
        case "$server " in *" $1 "*) kill "${server%% *}"; wait "${server%% *}"; return ;; esac
    done
    echo "no server at port $1" >&2
    return 1
}
end() {
    local server
    for server in "${servers[@]}"; do kill "${server%% *}" 2> /dev/null || true; done
    wait
}
trap end EXIT
"""


def follow(blocks: Sequence[Block], folder: Path) -> list[str]:
    """Run them in one shell in ``folder``; return what each printed. Raises AssertionError."""
    session = folder.parent / f"{folder.name}-session"
    session.mkdir()
    shift = _free_ports() - 9000
    script = [PRELUDE]
    for number, block in enumerate(blocks):
        text = PORT.sub(lambda found: str(int(found[0]) % 1000 + 9000 + shift), block.text)
        if block.language == "stop":
            text = f"stop {int(block.value) % 1000 + 9000 + shift}"
        file = session / f"{number}.{'py' if block.language == 'python' else 'sh'}"
        file.write_text(text)
        call = "python" if block.language == "python" else "."
        call = f"{call} {file} > {session}/{number}.out"
        if block.marker == "exit":
            call = f'set +e; {call}; code=$?; set -e; [ "$code" = {block.value} ]'
        script += [f"echo {number} > {session}/at", call]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(session),
        "SESSION": str(session),
        "PYTHONUNBUFFERED": "1",
    }
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = shell.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        told, _ = shell.communicate()
    at = int((session / "at").read_text())
    printed = [
        file.read_text() if (file := session / f"{number}.out").exists() else ""
        for number in range(len(blocks))
    ]
    assert shell.returncode == 0, f"{blocks[at]}:\n{blocks[at].text}\n{printed[at]}{told}"
    return printed


def like(shown: str) -> re.Pattern[str]:
    """What a page shows of an output, as a pattern: numbers, units and digests may be others."""
    lines = []
    for line in shown.rstrip("\n").splitlines():
        if line.strip() in ("...", "…"):
            lines.append(r"(?:.*\n)*?")
            continue
        parts = re.split(r"(\b[0-9a-f]{64}\b|\b[0-9][0-9.,]*\b(?: [KMG]?i?B(?:/s)?\b)?)", line)
        pattern = [re.escape(part) if n % 2 == 0 else _varied(part) for n, part in enumerate(parts)]
        lines.append("".join(pattern) + r"\n")
    return re.compile("".join(lines))


def _varied(part: str) -> str:
    if len(part) == 64:
        return "[0-9a-f]{64}"
    return r"[0-9][0-9.,]*" + (r" [KMG]?i?B(?:/s)?" if " " in part else "")


def _free_ports(count: int = 40) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for _ in range(1000):
        first = random.randrange(20000, 30000, count)
        taken = []
        try:
            for port in range(first, first + count):
                probe = socket.socket()
                taken.append(probe)
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        else:
            return first
        finally:
            for probe in taken:
                probe.close()
    raise AssertionError("no free ports")
