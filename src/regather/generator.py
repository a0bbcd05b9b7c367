"""Large files of repeating English text: for demonstrations, tests and measurements."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from regather.errors import StorageError, is_disk_full, reason
from regather.files.platform import closed_after, open_new, preallocate, publish, write_all
from regather.names import suffixed, temporary_suffix
from regather.store import check_destination
from regather.tasks import interrupts_held
from regather.units import format_size

_PERIOD = 1_000_003
"""Bytes after which the text repeats: odd, so that no two pieces of a file are alike."""
_REPEATS = 8
_SUBJECTS = (
    "The quick brown fox|A careful librarian|The old lighthouse keeper|Every second server|"
    "A patient gardener|The night train|Some curious child|The small repair shop|A distant mirror|"
    "The river below the mill|Our oldest archive|The last postman"
).split("|")
_VERBS = (
    "jumps over|keeps|remembers|answers|carries|looks after|quietly passes|gathers again|"
    "waits for|never forgets|sometimes loses|always finds"
).split("|")
_OBJECTS = (
    "the lazy dog|a letter from the north|every fragment of the story|the broken bridge|"
    "three baskets of apples|the first snow|a map without a name|the missing page|"
    "the sound of the harbour|an unfinished sentence|the long way home|a handful of bytes"
).split("|")
_ENDINGS = (
    "before the rain begins|while the town is asleep|without asking why|as it did last year|"
    "at the end of the road|long after midnight|in any weather|when nobody is looking"
).split("|")


def english_text(seed: int = 0) -> bytes:
    """The text that a generated file repeats: a little under 1 MB of ASCII, the same for a seed."""
    rng = random.Random(f"regather text {seed}")
    lines: list[str] = []
    length = 0
    while length < _PERIOD:
        line = (
            f"{rng.choice(_SUBJECTS)} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)} "
            f"{rng.choice(_ENDINGS)}.\n"
        )
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[: _PERIOD - 1] + b"\n"


def passages(size: int, seed: int = 0) -> Iterator[memoryview]:
    """``size`` bytes of the text of a seed, a few MB at a time."""
    text = memoryview(english_text(seed) * _REPEATS)
    for at in range(0, size, len(text)):
        yield text[: size - at]


def generate(
    path: str | Path,
    size: int,
    *,
    seed: int = 0,
    force: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write exactly ``size`` bytes of repeating English text to ``path``, atomically.

    ``seed`` chooses the text. ``on_progress`` is called with the number of bytes done and ``size``.
    Raises UsageError if ``path`` is invalid or exists (unless ``force``), and StorageError if the
    disk is full.
    """
    path = Path(path)
    check_destination(path, force=force)
    part = path.with_name(suffixed(path.name, temporary_suffix()))
    with interrupts_held() as interrupts:
        try:
            with closed_after(open_new(part)) as descriptor:
                preallocate(descriptor, size)
                done = 0
                for passage in passages(size, seed):
                    write_all(descriptor, passage, done)
                    done += len(passage)
                    if on_progress:
                        on_progress(done, size)
                    interrupts.check()
            publish(str(part), str(path), replace=force, keep_mode=True)
        except OSError as error:
            raise StorageError(
                f"{path}: {reason(error).lower()}",
                help=f"{format_size(size)} are needed" if is_disk_full(error) else "",
            ) from None
        finally:
            part.unlink(missing_ok=True)
