"""What is remembered of samples, and how it becomes JSON."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from regather.errors import UsageError
from regather.page.as_text import as_text
from regather.page.checks import Checked, Checks, Finding
from regather.page.delta import delta
from regather.page.recorder import Recorder
from regather.page.samples import (
    COMPUTED,
    HERE_BEFORE,
    MOST_FILES,
    MOST_TRANSFERS,
    CacheSample,
    Sample,
    ServerSample,
    TransferSample,
)
from tests.page.subjects import PIECE, Made, layout, lively, sample
from tests.support.net import wait_until

DOCUMENTED = Path(__file__).parents[2] / "docs/page.md"


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class Watch:
    """A recorder, the samples of which are made by hand, second by second."""

    def __init__(self, first: Sample, program: str = "get", checks: Checks | None = None) -> None:
        self.made, self.clock = Made(first), Clock()
        self.recorder = Recorder(
            program, self.made, checks=checks, clock=self.clock, wall=self.clock
        )
        self.see(first)

    def see(self, now: Sample, seconds: int = 1) -> dict[str, Any]:
        self.made.now = now
        for _ in range(seconds):
            self.recorder.record()
            self.clock.now += 1
        return self.document

    @property
    def document(self) -> dict[str, Any]:
        return self.recorder.document()


def with_server(before: Sample, number: int, **changed: Any) -> Sample:
    servers = [
        replace(one, **changed) if n == number else one for n, one in enumerate(before.servers)
    ]
    return replace(before, servers=servers)


def test_healthy_says_how_many_servers_can_fail() -> None:
    assert Watch(sample()).document["state"] == {
        "word": "healthy",
        "text": "Healthy: any 2 servers can fail.",
        "activity": "downloading",
    }


def test_nothing_is_promised_of_servers_whose_fragments_are_unknown() -> None:
    first = sample()
    file = replace(first.files[0], holdings=[None, *first.files[0].holdings[1:]])
    watch = Watch(replace(first, files=[file]))
    assert watch.document["state"]["text"].startswith("Healthy as far as is known: ")
    gone = watch.see(with_server(replace(first, files=[file]), 1, condition="gone"))
    assert gone["state"]["text"] == "Degraded: 1 of 5 servers is gone."


def asked(number: int) -> Sample:
    """Only the first ``number`` servers were ever asked; each has one fragment."""
    now = sample()
    servers = [replace(one, heard=int(n < number)) for n, one in enumerate(now.servers)]
    return replace(now, servers=servers, files=[replace(now.files[0], reading=[])])


@pytest.mark.parametrize(
    ("number", "state", "available"),
    [
        (0, "Unknown: the state of 5 of 5 servers is unknown.", "0 of 5 fragments are good"),
        (2, "Unknown: the state of 3 of 5 servers is unknown.", "2 of 5 fragments are good"),
        (
            3,
            "Healthy as far as is known: the state of 2 of 5 servers is unknown.",
            "3 of 5 fragments are good",
        ),
        (5, "Healthy: any 2 servers can fail.", "5 of 5 fragments are good"),
    ],
)
def test_a_server_that_was_not_asked_is_unknown(number: int, state: str, available: str) -> None:
    document = Watch(asked(number)).document
    assert document["state"]["text"] == state
    assert document["state"]["word"] == state.split(maxsplit=1)[0].rstrip(":").lower()
    states = [(row["state"], row["text"]) for row in document["servers"]]
    assert states == [("ok", "ok")] * number + [("unknown", "not asked yet")] * (5 - number)
    (one,) = document["files"][0]["sets"]
    assert one["text"].startswith(f"{available}, any 3 are enough; ")
    assert (one["available"], one["unknown"]) == (number, 5 - number)
    letters = [row["cells"][n] for n, row in enumerate(document["files"][0]["fragments"])]
    assert letters == ["h"] * number + ["u"] * (5 - number)


def test_after_some_minutes_without_an_answer_a_server_is_unknown() -> None:
    watch = Watch(sample())
    assert watch.see(sample(), 300)["state"]["word"] == "healthy"
    late = watch.see(sample(), 2)
    assert {(row["state"], row["text"]) for row in late["servers"]} == {
        ("unknown", "not asked lately")
    }
    assert late["state"]["text"] == "Unknown: the state of 5 of 5 servers is unknown."
    assert late["events"] == []
    assert watch.see(with_server(sample(), 1, heard=2))["servers"][1]["state"] == "ok"


@pytest.mark.parametrize(
    ("condition", "text", "letter"),
    [
        ("gone", "1 is unreachable", "o"),
        ("failing", "1 is unreachable", "o"),
        ("stalled", "1 is unreachable", "o"),
        ("corrupt", "1 to spare", "h"),
        ("paused", "2 to spare", "h"),
    ],
)
def test_sets_count_what_can_be_had(condition: Any, text: str, letter: str) -> None:
    (file,) = Watch(with_server(sample(), 1, condition=condition)).document["files"]
    assert file["sets"][0]["text"].endswith(text)
    assert file["sets"][0]["available"] == (5 if condition == "paused" else 4)
    assert file["fragments"][1]["cells"][1] == letter


def test_a_set_that_lacks_fragments_says_how_many() -> None:
    state = sample()
    for number in (0, 1, 2):
        state = with_server(state, number, condition="failing")
    document = Watch(state).document
    assert document["state"]["text"] == (
        "Degraded: 3 of 5 servers are failing; it is not known whether the others are enough."
    )
    assert document["files"][0]["sets"][0]["text"] == (
        "2 of 5 fragments are good, any 3 are enough; 1 more fragment is needed; 3 are unreachable"
    )


def test_of_several_files_the_worst_is_the_state() -> None:
    now = sample()
    file = replace(now.files[0], name="other.bin", holdings=[frozenset()] * 5, reading=[])
    document = Watch(replace(now, files=[now.files[0], file, now.files[0]])).document
    assert document["state"]["text"].startswith("Lost: fragments 1, 2 and 3 of other.bin.")


def test_an_event_that_is_amended_stays_where_it_is() -> None:
    watch = Watch(sample())
    first = watch.recorder.events.add("first")
    watch.recorder.events.add("second")
    before = watch.see(sample())
    watch.recorder.events.amend(first, "first, made good", ())
    after = watch.see(sample())
    change = delta(before, after)
    assert change is not None
    texts = ["first, made good", "second"]
    assert [event["text"] for event in applied(before, change)["events"]] == texts
    assert [event["text"] for event in after["events"]] == texts


def test_a_server_that_is_gone_degrades_the_file_and_comes_back() -> None:
    watch = Watch(sample())
    gone = watch.see(with_server(sample(), 1, condition="gone", last_error="Connection refused"))
    assert (
        gone["state"]["text"] == "Degraded: 1 of 5 servers is gone; any 1 further server can fail."
    )
    assert gone["servers"][1]["state"] == "gone"
    assert gone["files"][0]["fragments"][1]["cells"][1] == "o"
    assert gone["files"][0]["sets"][0]["text"] == (
        "4 of 5 fragments are good, any 3 are enough; 1 to spare; 1 is unreachable"
    )
    back = watch.see(sample())
    assert (back["servers"][1]["state"], back["state"]["word"]) == ("ok", "healthy")
    assert [event["text"] for event in back["events"]] == [
        "server2.example is gone (Connection refused)",
        "server2.example is ok again",
    ]


def test_lost_names_the_fragments() -> None:
    state = sample()
    for number in (0, 1, 2):
        state = with_server(state, number, condition="gone")
    assert Watch(state).document["state"]["text"].startswith("Lost: fragments 1, 2 and 3.")


def test_a_server_that_sent_a_corrupt_piece_is_called_corrupt_for_a_minute() -> None:
    watch = Watch(sample())
    bad = with_server(sample(), 2, corrupt=1, last_error="wrong bytes in piece 7")
    assert watch.see(bad)["servers"][2]["state"] == "corrupt"
    assert watch.see(bad, 58)["servers"][2]["state"] == "corrupt"
    assert watch.see(bad, 3)["servers"][2]["state"] == "ok"


def test_a_server_far_below_the_others_is_slow() -> None:
    first = sample()
    watch = Watch(first)
    for second in range(1, 8):
        servers = [
            replace(one, connections=1, received=second * (PIECE // 10 if n == 3 else PIECE))
            for n, one in enumerate(first.servers)
        ]
        watch.see(replace(first, servers=servers))
    assert [row["state"] for row in watch.document["servers"]] == ["ok"] * 3 + ["slow", "ok"]


def test_graphs_keep_seconds_and_tens() -> None:
    watch = Watch(replace(sample(), received=0))
    for second in range(400):
        watch.see(replace(sample(), received=(second + 1) * 1000))
    graphs = watch.document["graphs"]
    assert len(graphs["seconds"]) == 300
    assert graphs["seconds"][-1] == [1400, 1000.0, 0.0, 0.0]
    assert [at for at, *_ in graphs["tens"]] == list(range(1000, 1400, 10))
    assert graphs["tens"][-1][1] == 1000.0


def test_the_map_follows_what_the_servers_hold() -> None:
    """Fragments may vanish from a folder, and come back, while all servers respond."""
    file = replace(sample().files[0], reading=[])
    full = replace(sample(), files=[file])
    watch = Watch(full)
    empty = replace(file, holdings=[frozenset(), *file.holdings[1:]])
    lost = watch.see(replace(sample(), files=[empty]))
    assert lost["files"][0]["fragments"][0]["cells"][0] == "a"
    assert lost["files"][0]["sets"][0]["available"] == 4
    back = watch.see(full)
    assert back["files"][0]["fragments"][0]["cells"][0] == "h"
    assert back["files"][0]["sets"][0]["available"] == 5


def test_a_new_file_of_the_same_name_is_another_file() -> None:
    """A gateway has both while clients read what the name meant before."""
    watch = Watch(sample())
    before = sample().files[0]
    one = layout(4, 2, 5)
    new = replace(before, layout=one, here=bytes(one.piece_count), deliverers=(), reading=[])
    first, second = watch.see(replace(sample(), files=[new, before]))["files"]
    assert [len(first["fragments"]), len(second["fragments"])] == [6, 5]
    assert [first["sets"][0]["needed"], second["sets"][0]["needed"]] == [4, 3]
    assert [first["pieces"]["done"], second["pieces"]["done"]] == [0, 30]
    assert [len(set(row["cells"])) for row in first["fragments"]] == [2, 2, 2, 2, 2, 1]


def test_pieces_say_who_delivered_them() -> None:
    now = sample()
    file = now.files[0]
    by = list(file.deliverers)
    by[0], by[2] = HERE_BEFORE, 0
    document = Watch(replace(now, files=[replace(file, deliverers=by)])).document["files"][0]
    pieces = document["pieces"]
    assert (pieces["count"], pieces["done"], pieces["bins"]) == (60, 30, 60)
    fill = base64.b64decode(pieces["fill"])
    assert list(fill[:3]) == [255, 0, 255]
    assert pieces["by"][:5] == [[-3, 1], [-1, 1], [-2, 1], [-1, 1], [1, 1]]
    assert pieces["reading"] == [1]
    assert document["fragments"][0]["computed"] == 1
    assert len(by) < COMPUTED


def test_many_pieces_share_a_bin() -> None:
    big = layout(4, 0, 1 << 16)
    file = replace(
        sample().files[0],
        layout=big,
        here=bytes([1]) * big.piece_count,
        reading=[],
        holdings=[None],
        servers=["http://one.example/"],
        deliverers=[1] * big.piece_count,
    )
    only = [ServerSample("http://one.example/")]
    now = replace(sample(), servers=only, files=[file])
    pieces = Watch(now).document["files"][0]["pieces"]
    assert (pieces["count"], pieces["bins"], pieces["by"]) == (1 << 18, 1024, [[1, 1024]])


def test_equal_events_are_counted() -> None:
    watch = Watch(sample())
    for _ in range(700):
        watch.recorder.events.add("the same")
    for number in range(600):
        watch.recorder.events.add(f"number {number}")
    events = watch.see(sample())["events"]
    assert len(events) == 500
    assert events[-1]["text"] == "number 599"
    watch.recorder.events.add("number 599")
    assert watch.see(sample())["events"][-1]["count"] == 2


def test_what_could_reorder_text_is_escaped() -> None:
    evil = "http://a\u202eb.example/<img src=x onerror=alert(1)>"
    watch = Watch(replace(sample(), servers=[ServerSample(evil)], files=[]))
    watch.recorder.events.add("from \u202e\n\u2066")
    document = watch.see(watch.made.now)
    assert document["servers"][0]["name"] == "a\\u202eb.example/<img src=x onerror=alert(1)>"
    assert document["events"][0]["text"] == "from \\u202e\\n\\u2066"


def test_no_secret_of_a_url_is_shown() -> None:
    secret = "http://ann:secret@a.example/d/?token=secret"
    watch = Watch(replace(sample(), servers=[ServerSample(secret)], files=[]))
    watch.recorder.events.add("it failed", servers=(secret,))
    assert "secret" not in str(watch.see(watch.made.now))


def test_transfers_are_limited_and_the_rest_is_counted() -> None:
    many = [TransferSample(f"r{n}", 10, 1, 1.0) for n in range(MOST_TRANSFERS + 7)]
    document = Watch(replace(sample(), transfers=many, more_transfers=3)).document
    assert (len(document["transfers"]), document["transfers_left_out"]) == (MOST_TRANSFERS, 10)


def test_files_are_limited_and_the_rest_is_counted() -> None:
    (one,) = sample().files
    many = [replace(one, name=f"file{n}") for n in range(MOST_FILES + 3)]
    document = Watch(replace(sample(), files=many, more_files=4)).document
    assert (len(document["files"]), document["files_left_out"]) == (MOST_FILES, 7)


@pytest.mark.parametrize("servers", [1000, 1001])
def test_a_map_of_too_many_cells_is_left_out(servers: int) -> None:
    """200 fragments: the limit is 200,000 cells."""
    large = layout(200, 0, 1)
    (one,) = sample().files
    many = [ServerSample(f"http://{n}.example/") for n in range(servers)]
    file = replace(
        one,
        layout=large,
        here=b"",
        servers=[many[0].url],
        holdings=[None],
        reading=[],
        deliverers=(),
    )
    written = Watch(replace(sample(), servers=many, files=[file])).document["files"][0]
    assert written["map_left_out"] == (servers > 1000)
    assert len(written["fragments"][0]["cells"]) == (0 if servers > 1000 else servers)


def test_long_events_are_cut() -> None:
    watch = Watch(sample())
    row = watch.recorder.events.add("x" * 5000)
    assert watch.see(sample())["events"][-1]["text"] == "x" * 400
    watch.recorder.events.amend(row, "y" * 5000, ())
    assert watch.see(sample())["events"][-1]["text"] == "y" * 400


def test_a_gateway_has_readers_cache_and_copies() -> None:
    cache = CacheSample(used=5, limit=10, served=30)
    now = replace(sample(), sent=40, readers=3, cache=cache, origin=220, size=200)
    document = Watch(now, "gateway").document
    assert document["cache"] == {"used": 5, "limit": 10, "share": 0.75}
    assert (document["readers"], document["copies"]) == (3, 1.1)


def test_the_text_names_state_servers_and_sets() -> None:
    text = as_text(Watch(sample()).document)
    assert text.splitlines()[0] == "Healthy: any 2 servers can fail."
    assert "server1.example: ok, 0 B/s" in text
    assert "file.bin: 50 % of 60.0 MiB, downloading" in text


def test_every_field_is_documented() -> None:
    known = set(re.findall(r"`([a-z_]+)`", DOCUMENTED.read_text("utf-8").partition("## JSON")[2]))
    document = Watch(lively(300), "gateway", checks=Checks(list)).document
    names = set(re.findall(r"\"([a-z_]+)\":", json.dumps({**document, "servers": []})))
    names |= {name for row in document["servers"] for name in row}
    assert names <= known
    assert len(names) > 70


def applied(state: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """What the page makes of a change, in Python."""
    apart = {"servers", "files", "transfers", "events", "graphs"}
    found = {**state, **{key: value for key, value in change.items() if key not in apart}}
    news = {row["id"]: row for row in change["servers"]}
    found["servers"] = [
        {**row, **news.pop(row["id"], {})} | {"spark": row["spark"]} for row in state["servers"]
    ] + list(news.values())
    for file, new in zip(found["files"], change["files"], strict=True):
        by = {one["index"]: one for one in new["fragments"]}
        file["fragments"] = [{**one, **by.get(one["index"], {})} for one in file["fragments"]]
        file |= {key: new[key] for key in ("sets", "pieces") if key in new}
    found["transfers"] = change.get("transfers", state["transfers"])
    stay = {event["id"]: event["at"] for event in state["events"]}
    events = {event["id"]: event for event in change["events"]}
    amended = [i for i, event in events.items() if stay.get(i) == event["at"]]
    found["events"] = [
        events.get(e["id"], e)
        for e in state["events"]
        if e["id"] not in events or e["id"] in amended
    ] + [event for i, event in events.items() if i not in amended]
    found["graphs"] = {
        **state["graphs"],
        **{kind: state["graphs"][kind] + change["graphs"][kind] for kind in ("seconds", "tens")},
    }
    return found


def test_changes_add_up_to_the_document() -> None:
    watch = Watch(sample())
    state = watch.document
    seen = [
        with_server(sample(), 1, condition="gone"),
        replace(sample(), received=77, transfers=[]),
        with_server(sample(), 0, useful=5 * PIECE),
        replace(sample(), files=[replace(sample().files[0], here=bytes([1]) * 100, reading=[])]),
    ]
    for now in seen:
        watch.recorder.events.add("again")
        before = watch.document
        after = watch.see(now)
        change = delta(before, after)
        assert change is not None
        state = applied(state, change)
        expected = {
            **after,
            "servers": [
                row | {"spark": state["servers"][n]["spark"]}
                for n, row in enumerate(after["servers"])
            ],
        }
        assert state == expected


def test_another_file_needs_all_anew() -> None:
    watch = Watch(sample())
    before = watch.document
    assert delta(before, watch.see(sample(name="other.bin"))) is None


def test_a_check_says_what_is_not_known_yet() -> None:
    now = asked(1)
    urls = [server.url for server in now.servers]
    file = replace(now.files[0], holdings=[None, *now.files[0].holdings[1:]])
    now = replace(now, files=[file])
    findings = [
        Finding(urls[0], 0, "held"),
        Finding(urls[1], 1, "absent"),
        Finding(urls[2], 2, "corrupt"),
        Finding(urls[3], -1, "unreachable"),
        Finding(urls[4], 4, "held"),
    ]
    checks = Checks(lambda: [Checked("file.bin", "degraded", "degraded; some", urls, findings)])
    watch = Watch(now, checks=checks)
    assert watch.document["check"] == {"running": False, "text": "", "at": 0.0}
    checks.start()
    wait_until(lambda: bool(checks.results), what="the end of the check")
    document = watch.see(now)
    assert document["check"]["text"] == "file.bin: degraded; some"
    assert [row["state"] for row in document["servers"]] == ["ok", "ok", "ok", "gone", "ok"]
    cells = [row["cells"] for row in document["files"][0]["fragments"]]
    assert cells == ["haaaa", "aaaaa", "aacaa", "aaaoa", "aaaah"]
    texts = [event["text"] for event in document["events"]]
    assert texts == ["checked file.bin: degraded; some", "server4.example is gone"]
    newer = with_server(now, 3, heard=2)
    newer = replace(newer, files=[replace(file, held={(1, 1), (3, 3)})])
    document = watch.see(newer)
    assert document["servers"][3]["state"] == "ok"
    cells = [row["cells"] for row in document["files"][0]["fragments"]]
    assert cells == ["haaaa", "ahaaa", "aacaa", "aaaha", "aaaah"]
    assert len(document["events"]) == len(watch.see(newer)["events"])


def test_a_check_that_fails_says_why() -> None:
    def fails() -> list[Checked]:
        raise UsageError("no such manifest")

    checks = Checks(fails)
    watch = Watch(sample(), checks=checks)
    checks.start()
    wait_until(
        lambda: watch.see(sample())["check"]["text"] == "failed: no such manifest",
        what="the end of the check",
    )
