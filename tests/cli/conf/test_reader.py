"""The reader of configuration files, on files that nobody would write."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regather.cli import parser_of
from regather.cli.commands import COMMANDS, UNCONFIGURED
from regather.cli.conf import check_tables
from regather.cli.conf.aliases import aliases_in
from regather.cli.conf.config_file import Config, parse
from regather.cli.conf.defaults import defaults_for, name_of, settable
from regather.cli.conf.host_tables import tokens_in
from regather.cli.parsing import commands_of
from regather.errors import UsageError

PARSERS = commands_of(parser_of())
NAMES = [name for name in COMMANDS if name not in UNCONFIGURED]
OPTIONS = sorted({option for parser in PARSERS.values() for option in settable(parser)})
KEYS = st.one_of(
    st.sampled_from([*OPTIONS, *NAMES, "defaults", "alias", "host", "token", "token-file"]),
    st.text(max_size=6),
)
SCALARS = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["1MB", "x:1"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
TABLES = st.dictionaries(KEYS, st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=4)))


def toml(value: object) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return text(value) if isinstance(value, str) else repr(value)


def text(value: str) -> str:
    return json.dumps(value).replace("\x7f", "\\u007f")


def document(tables: Mapping[str, Any]) -> str:
    """Tables with headers, but what is none first, as TOML wants it."""
    lines = [f"{text(k)} = {toml(v)}" for k, v in tables.items() if not isinstance(v, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            lines += [f"[{text(name)}]", *(f"{text(k)} = {toml(v)}" for k, v in table.items())]
    return "\n".join(lines)


def check(config: Config) -> None:
    """All that is ever asked of a configuration. Raises UsageError."""
    check_tables(config)
    for name in NAMES:
        defaults_for(config, name, PARSERS[name], lambda: PARSERS)
    aliases_in(config)
    list(tokens_in(config))


def told_well(error: UsageError) -> None:
    told = str(error)
    assert "\n" not in told
    assert told.isprintable()
    assert told.startswith("x.toml"), told


@given(st.text())
@example("[[[[")
@example("\r[get]\r\n")
@example("get.connections = 1\n[get]\n")
@example("[[get]]\nconnections = 1")
@example("host.a = 1979-05-27T07:32:00Z")
@example("[host.a]\n'' = ''")
def test_any_text(written: str) -> None:
    try:
        check(parse(written, "x.toml"))
    except UsageError as error:
        told_well(error)


# A document holds no surrogates, and tomllib no text outside of Unicode.
@given(TABLES)
def test_any_toml(tables: dict[str, Any]) -> None:
    written = document(tables)
    if any("\ud800" <= c <= "\udfff" for c in written) or "\\ud" in written.lower():
        return
    try:
        config = parse(written, "x.toml")
        check(config)
    except UsageError as error:
        told_well(error)


@given(st.data())
def test_what_is_right_is_taken(data: st.DataObject) -> None:
    """Numbers, sizes, flags and texts of every option come back as argparse would have them."""
    command = data.draw(st.sampled_from([name for name in NAMES if settable(PARSERS[name])]))
    options = settable(PARSERS[command])
    rivals = [a.dest for g in PARSERS[command]._mutually_exclusive_groups for a in g._group_actions]
    free = sorted(name for name, action in options.items() if action.dest not in rivals)
    some = data.draw(st.lists(st.sampled_from(free), unique=True))
    given_: dict[str, Any] = {}
    expected: dict[str, Any] = {}
    for name in some:
        action = options[name]
        if action.nargs == 0:
            given_[name] = expected[action.dest] = True
            continue
        if action.choices is not None:
            given_[name] = data.draw(st.sampled_from(sorted(action.choices)))
        elif action.type is None or "Path" in str(action.type):
            given_[name] = data.draw(st.from_regex("/[a-z]+", fullmatch=True))
        else:
            few = name in ("read-data", "page", "free-space")  # a share, a port
            given_[name] = 1 if few else data.draw(st.integers(1, 10**6))
        read: Any = action.type or str
        value = read(str(given_[name]))
        expected[action.dest] = [value] if isinstance(action.default, list) else value
    table = data.draw(st.sampled_from([command, "defaults"]))
    config = parse(document({table: given_}), "/etc/x.toml")
    found = defaults_for(config, command, PARSERS[command], lambda: PARSERS)
    assert {default.dest: default.value for default in found.values()} == expected
    lines = {name_of(options[d.key[-1]]): config.line(*d.key) for d in found.values()}
    assert lines == {name: number for number, name in enumerate(given_, 2)}


BARE = st.text(string.ascii_lowercase + "-_0123456789", min_size=1, max_size=5)


@given(st.dictionaries(BARE, st.dictionaries(BARE, SCALARS, min_size=1, max_size=3), max_size=4))
def test_lines_of_keys(tables: dict[str, dict[str, Any]]) -> None:
    written = "# key = 1\n\n" + document(tables)
    config = Config("x.toml", {}, written)
    lines = written.split("\n")
    for table, keys in tables.items():
        assert lines[(config.line(table) or 0) - 1] == f'["{table}"]'
        for key in keys:
            assert lines[(config.line(table, key) or 0) - 1].startswith(f'"{key}" = ')
            assert (config.line(table, key) or 0) > (config.line(table) or 0)
    assert config.line("no such table") is None


@pytest.mark.parametrize(
    ("written", "key", "line"),
    [
        ("a.b.c = 1", ("a", "b", "c"), 1),
        ("[a]\n  b.c = 1", ("a", "b", "c"), 2),
        ("[a . 'b.c']\nd = 1", ("a", "b.c", "d"), 2),
        ("[a] # x = 1\n'b = c' = 2", ("a", "b = c"), 2),
        ("[a]\nb = { c = 1 }", ("a", "b", "c"), 2),
        ("[[a]]\nb = 1", ("a",), 1),
        ("[a]\nb = [\n 'x = 1',\n]\nc = 2", ("a", "c"), 5),
    ],
)
def test_lines_of_unusual_keys(written: str, key: tuple[str, ...], line: int) -> None:
    assert Config("x.toml", {}, written).line(*key) == line


def test_long_texts_are_no_work() -> None:
    """Trying all of them would take hours."""
    written = "[a]\nb = '''\n" + "=" * 500_000 + "'''\nc = 2"
    assert Config("x.toml", {}, written).line("a", "c") == 4


def test_no_secret_is_shown(tmp_path: Any) -> None:
    config = parse("[host.a]\ntoken = 's3cret s3cret'\n", str(tmp_path / "x.toml"))
    assert "s3cret" not in repr(config).replace(repr(config.tables), "")
    with pytest.raises(UsageError) as raised:
        list(tokens_in(config))
    assert not re.search("s3cret", str(raised.value))
