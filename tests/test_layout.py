"""The layout of the source: no circle of imports, and no name for two things.

``python -m tests.test_layout`` prints the names of classes and files that stand for two things.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent / "src" / "regather"
MODULES = sorted(ROOT.rglob("*.py"))
MOST_LINES = 350
COMMAND = "a command is in a module of its own name, beside what it calls"
SAME_ROLE = "the same role in packages of one form"
CLASSES = {
    "Progress": "an event of the planner, and what users are shown: each has its own layer",
}
"""Classes that share a name, and why."""
FILES = {
    **dict.fromkeys(("cluster", "demo", "progress"), COMMAND),
    **dict.fromkeys(("checks", "document", "values"), SAME_ROLE + ": what is read and written"),
    **dict.fromkeys(("base", "http", "local"), SAME_ROLE + ": transports, and stores over them"),
    **dict.fromkeys(("channel", "failures"), SAME_ROLE + ": HTTP of our own and by a library"),
    "core": "what its package is named after: the planner, the engine",
    "logs": "loggers of the library, and what the command line shows of them",
    "options": "what users set: on the command line, for connections",
    "ranges": "RFC 9110, 14: as the server reads it, as the client does",
    "rows": "rows of erasure sets: computed, planned, repaired",
    "transfer": "one request: of pieces in the engine, of bytes in libcurl",
    "report": SAME_ROLE + ": what a job tells at its end",
}
"""Files that share a name, and why."""


def doubles() -> list[str]:
    """The names that stand for two things and have no reason, each with where it stands."""
    classes: dict[str, list[str]] = defaultdict(list)
    files: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        where = str(path.relative_to(ROOT))
        if path.stem != "__init__":
            files[path.stem].append(where)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                classes[node.name.lstrip("_")].append(where)
    return [
        f"{kind} {name}: {', '.join(places)}"
        for kind, names, reasons in (("class", classes, CLASSES), ("file", files, FILES))
        for name, places in sorted(names.items())
        if len(places) > 1 and name not in reasons
    ]


def test_no_name_is_for_two_things() -> None:
    assert doubles() == []


def test_no_circle_of_imports() -> None:
    graph = grimp.build_graph("regather", exclude_type_checking_imports=True)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from None


def test_no_module_is_too_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in MODULES}
    assert {str(path): lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


if __name__ == "__main__":
    print(*doubles(), sep="\n")
