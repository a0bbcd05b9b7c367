"""Real shells on a terminal of their own, to see what a Tab makes of a line."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

# In bash and zsh ^T tells what stands on the line; ^Y inserts all that could be completed there.
_SETUP = {
    "bash": r"""
unset HISTFILE; PS1='> '; bind 'set enable-bracketed-paste off' 'set bell-style none'
bind 'set completion-query-items -1' 2>/dev/null; bind '"\C-y": insert-completions'
_told() { printf '\n<<%s>>\n' "$READLINE_LINE"; READLINE_LINE=; READLINE_POINT=0; }
bind -x '"\C-t": _told'
""",
    "zsh": r"""
unset HISTFILE zle_bracketed_paste; PS1='> '; unsetopt BEEP PROMPT_SP
autoload -Uz compinit && compinit -u -D
_told() { print -r; print -r -- "<<$BUFFER>>"; BUFFER=; }
zle -N _told; bindkey '^T' _told
zle -C all-matches complete-word _generic; bindkey '^Y' all-matches
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
""",
}
_SECONDS = 60.0


class Shell:
    """An interactive bash or zsh that has read a completion script; without any files of a user."""

    def __init__(self, name: str, script: str, folder: Path) -> None:
        (folder / "setup").write_text(_SETUP[name])
        (folder / "script").write_text(script)
        quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"]}[name]
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [shutil.which(name) or name, *quiet, "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(folder), "LC_ALL": "C"},
        )
        os.close(slave)
        self._shown = ""
        # eval, not source: it is what the documented line does.
        self._type('. ./setup; eval "$(cat script)"; cd files; echo REA""DY\n')
        self._until(r"READY\r?\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(60)
        os.close(self._master)

    def line(self, typed: str) -> str:
        """What the line is after ``typed`` and a Tab."""
        self._type(typed + "\t\x14")
        return self._until(r"<<(.*)>>")

    def words(self, typed: str) -> set[str]:
        """All that the last word of ``typed`` can become, without the / or = behind it."""
        self._type(typed + "\x19\x14")
        start = typed.rpartition(" ")[0]
        found = self._until(r"<<(.*)>>").removeprefix(start).split()
        return {word.rstrip("/=") for word in found}

    def _type(self, text: str) -> None:
        self._shown = ""
        os.write(self._master, text.encode())

    def _until(self, pattern: str) -> str:
        until = time.monotonic() + _SECONDS
        while not (match := re.search(pattern, self._shown)):
            assert time.monotonic() < until, self._shown
            if select.select([self._master], [], [], 0.1)[0]:
                self._shown += os.read(self._master, 65536).decode(errors="replace")
        return match[1] if match.groups() else ""


def fish_words(script: str, typed: str, folder: Path) -> set[str]:
    """All that the last word of ``typed`` can become in fish."""
    (folder / "script").write_text(script)
    told = subprocess.run(
        ["fish", "--no-config", "-c", 'source ../script; complete -C "$argv[1]"', typed],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder / "files",
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb"},
        timeout=_SECONDS,
    )
    assert told.stderr == "", told.stderr
    return {line.partition("\t")[0].rstrip("/") for line in told.stdout.splitlines()}
