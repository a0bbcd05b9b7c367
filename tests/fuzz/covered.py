"""Which lines of a parser a corpus reaches: ``python -m tests.fuzz.covered NAME FOLDER...``.

A process of its own, without the fuzzer's own instruments.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import coverage


def run(name: str, folders: list[Path]) -> None:
    """Print the numbers of lines that were reached and that there are, and those that were not."""
    tracer = coverage.Coverage(data_file=None, source_pkgs=["regather"])
    tracer.start()
    from tests.fuzz.harnesses import HARNESSES
    from tests.fuzz.seeds import seeds

    harness = HARNESSES[name]
    found = [path.read_bytes() for folder in folders for path in sorted(folder.iterdir())]
    for data in (*seeds(name), *found):
        try:
            harness.run(data)
        except harness.raises:
            pass
    tracer.stop()
    there: set[tuple[str, int]] = set()
    missed: set[tuple[str, int]] = set()
    for parser in harness.objects():
        path = inspect.getsourcefile(parser)  # type: ignore[arg-type]
        assert path is not None
        lines, first = inspect.getsourcelines(parser)  # type: ignore[arg-type]
        span = range(max(first, 1), first + len(lines) + 1)
        _, statements, _, missing, _ = tracer.analysis2(path)
        there |= {(path, line) for line in statements if line in span}
        missed |= {(path, line) for line in missing if line in span}
    names = [f"{Path(path).name}:{line}" for path, line in sorted(missed)]
    print(json.dumps({"reached": len(there - missed), "lines": len(there), "missed": names}))


if __name__ == "__main__":
    run(sys.argv[1], [Path(folder) for folder in sys.argv[2:]])
