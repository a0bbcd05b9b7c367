"""Progress fits terminals of any size, and nothing in it moves."""

from __future__ import annotations

import math
import time

import msgspec
import pytest
from rich.cells import cell_len

from regather.cli.progress import FilesView, download_view
from regather.cli.rendering import download_lines, fitted, total_line
from regather.downloader.report import Progress, SourceProgress, SourceState


def source(number: int, state: SourceState = "active", **more: object) -> SourceProgress:
    url = f"http://server{number}.example/a/long/path/to/data/"
    one = SourceProgress(url, state, received=3 << 20, rate=2e6, connections=2, errors=0)
    return msgspec.structs.replace(one, **more)


def moment(sources: list[SourceProgress], **more: object) -> Progress:
    one = Progress(
        "downloading", "model.bin", 10 << 30, 4 << 30, 3e7, 125.4, 60.0, tuple(sources), retries=5
    )
    return msgspec.structs.replace(one, **more)


@pytest.mark.parametrize("width", [1, 10, 20, 40, 50, 80, 120, 200])
@pytest.mark.parametrize("count", [1, 5, 50])
def test_lines_fit_and_the_total_is_always_there(width: int, count: int) -> None:
    states: list[SourceState] = ["active", "waiting", "failed", "idle", "corrupt", "unused"]
    sources = [
        source(n, states[n % 6], last_error="server: a reason that is rather long", failures=2)
        for n in range(count)
    ]
    for height in (1, 2, 5, 24, 100):
        lines = download_lines(moment(sources), width, height)
        assert len(lines) <= height
        assert all(cell_len(line.plain) <= width for line in lines)
        assert not any("\n" in line.plain for line in lines)
        if width >= 20:
            assert lines[-1].plain.startswith("model.bin")
            assert "40 %" in lines[-1].plain


def test_sources_stand_in_the_order_of_their_numbers() -> None:
    lines = download_lines(moment([source(n) for n in (10, 2, 1)]), 100, 24)
    assert [line.plain.split(".")[0] for line in lines[1:4]] == ["server1", "server2", "server10"]


def test_sources_without_room_are_counted() -> None:
    sources = [source(n, "active" if n < 10 else "idle") for n in range(1, 13)]
    lines = [line.plain for line in download_lines(moment(sources), 80, 7)]
    assert lines[-2] == "and 8 more: 5 active, 3 idle"
    assert len(lines) == 7


def test_columns_do_not_move() -> None:
    """A failure, a pause and large numbers leave every column where it was."""
    quiet = download_lines(moment([source(1), source(2)]), 90, 24)
    failing = source(
        2, "waiting", failures=1, last_error="http://server2.example/: HTTP 503", pause=3599
    )
    busy = download_lines(moment([source(1, received=10**15, errors=12345), failing]), 90, 24)
    assert quiet[0].plain == busy[0].plain
    assert busy[2].plain.startswith(quiet[2].plain[: quiet[0].plain.index("state")])
    assert "paused 59:59" in busy[2].plain
    assert busy[3].plain == "server2.example: HTTP 503, retry 1 of 5"


def test_narrow_terminals_keep_the_state_and_the_percentage() -> None:
    lines = [line.plain for line in download_lines(moment([source(1, "failed")]), 40, 24)]
    assert "failed" in lines[1]
    assert lines[-1].endswith("40 %     2:05 left")


def test_time_left_is_whole_seconds() -> None:
    assert total_line("x", 1, 100, 10.0, 10.03, 100).plain.endswith("10 s left")
    assert total_line("x", 1, 100, 10.0, 1e9, 100).plain.endswith("days left")
    assert "left" not in total_line("x", 5, 0, 10.0, 3.0, 100).plain, "the whole is not known"


def test_names_lose_their_middle() -> None:
    assert fitted("abcdefghij", 7) == "abcd…ij"
    assert fitted("ab", 4) == "ab  "
    assert cell_len(fitted("漢字漢字漢字", 7)) == 7


def test_several_files_share_the_lines() -> None:
    view = FilesView(30)
    for number in range(12):
        view.show(number, moment([], name=f"file{number}"))
    view.show(20, moment([], phase="asking", name=""))
    view.show(0, None)
    view.ended(failed=False)
    view.ended(failed=True)
    lines = [line.plain for line in view.draw(80, 6)]
    assert len(lines) == 6 - 1
    assert lines[0].startswith("file1 ")
    assert lines[-1].startswith("2 of 30 files, 1 failed, ")
    assert lines[-1].endswith("; 7 more under way")


def test_a_plain_line_without_sources_has_no_brackets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with download_view(quiet=False, as_json=False) as view:
        assert view is not None
        monkeypatch.setattr(time, "monotonic", lambda: math.inf)
        view(moment([], phase="checking"))
        view(moment([source(1)]))
    empty, full = capsys.readouterr().err.splitlines()
    assert empty.startswith("checking model.bin: 40 % of ")
    assert "[" not in empty
    assert full.endswith("]")
