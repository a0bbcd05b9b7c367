"""The linter for prose: what each rule finds, where, and that everything users read is clean."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools.prose.__main__ import broken, main, names, passages
from tools.prose.rules import LONGEST, Rule, findings, mean, rules
from tools.prose.text import Passage, of_markdown, of_python

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.wrong)
def test_a_rule_finds_its_example_and_nothing_in_the_better_one(rule: Rule) -> None:
    assert rule.find.search(rule.wrong)
    assert not list(findings([Passage(rule.right, "x", 1)], rules()))


def test_the_project_is_clean_but_for_a_list_that_only_becomes_shorter() -> None:
    found, clean = broken()
    assert not [str(finding) for finding in found]
    assert not clean, "run `python -m tools.prose --shorten`"


def test_every_kind_of_text_is_read() -> None:
    for name in ("README.md", "docs/sources.md", "help", "CHANGELOG.md"):
        assert name in names()
        assert sum(len(list(p.sentences())) for p in passages(name)) > 10, name


def test_code_is_counted_but_not_judged_and_tables_are_not_counted() -> None:
    text = (
        "Run `so many a b` twice.\n\n    so many lines of code\n\n| so many |\n| --- |\n| cell |\n"
    )
    found = list(of_markdown(text, "a.md"))
    assert [str(f) for f in findings(found, rules())] == [
        'a.md:5: "so many": write the number, "N", or "this number of"'
    ]
    assert [s.words for p in found for s in p.sentences()] == [6]


def test_lines_are_those_of_the_file() -> None:
    text = (
        "# A\n\n- One item\n  of two lines. It is compiled\n  anew.\n\nIt speaks. "
        + "A " * 41
        + "b.\n"
    )
    assert [(f.line, f.found.split()[0]) for f in findings(of_markdown(text, "a.md"), rules())] == [
        (5, '"anew"'),
        (7, '"speaks"'),
        (7, "42"),
    ]


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("One two. Three four five.", [2, 3]),
        ("Use e.g. a mirror. Or `x.y z`. `A` is one.", [4, 3, 3]),
        ('It ends (here.) And begins? "Yes." 8 of them.', [3, 2, 1, 3]),
        ("- item one\n- item two", [2, 2]),
        ("## A heading of four words", []),
        ("See [the page](https://example.org/a.b?c=d).", [3]),
    ],
)
def test_sentences(text: str, counts: list[int]) -> None:
    assert [s.words for p in of_markdown(text, "a") for s in p.sentences()] == counts


def test_only_the_section_asked_for_is_read() -> None:
    text = "# C\n\n## [Unreleased]\n\n### Added\n\n- One.\n\n## [1.0]\n\n- Two.\n"
    assert [p.text for p in of_markdown(text, "c", "[Unreleased]")][-1] == "One."


def test_messages_are_read_with_their_values_masked_and_docstrings_apart() -> None:
    source = (
        '"""So many modules."""\n\nA = f"after so many {x!r} failures"\nB = r"so many \\d+ of"\n'
    )
    assert [(p.text, p.line) for p in of_python(source, "a.py")] == [
        ("after so many X failures", 3)
    ]
    assert [(p.text, p.line) for p in of_python(source, "a.py", docstrings=True)] == [
        ("So many modules.", 1)
    ]


def test_the_mean_leaves_labels_out() -> None:
    passage = Passage("Label. " + "One two three four five. " * 6, "a", 1)
    assert mean([passage]) == 5
    assert mean([Passage("Too few sentences for a mean.", "a", 1)]) == 0
    assert list(findings([Passage(("Word " * (LONGEST - 1) + "end. ") * 6, "a", 1)], rules()))


def test_the_command_names_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["LICENSE"]) in (0, 1)
    capsys.readouterr()
    assert main([str(ROOT / "tools/prose/rules.py")]) == 0
    assert capsys.readouterr().out == ""
