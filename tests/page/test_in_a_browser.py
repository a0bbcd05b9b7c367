"""The page in a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from regather.downloader.job_runner import JobRunner
from regather.downloader.live import WatchedDownloads
from regather.page.checks import Checked, Checks
from regather.page.page_server import PageServer
from regather.page.recorder import Recorder
from regather.page.samples import Sample, ServerSample
from regather.sources.jobs import DownloadJob
from regather.sources.settings import Settings
from regather.splitter import split
from tests.page.subjects import Made, lively, sample
from tests.support import browser
from tests.support.files import MIB, alone, random_file
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.nginx import Nginx, needs_nginx
from tests.support.processes import talking

AXE = Path(__file__).parents[2] / ".venv-stores/axe/node_modules/axe-core/axe.min.js"
SHOTS = Path(__file__).parent / "out"
MS = PATIENCE * 1000
TOO_WIDE = """[document.documentElement, ...document.querySelectorAll(".card")]
    .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.id || one.tagName)"""
WALK = "document.addEventListener('focusin', (event) => { event.target.dataset.walked = ''; })"
NOT_WALKED = """
    [...document.querySelectorAll("a[href], button, select, summary, input, [tabindex]")]
    .filter((one) => one.checkVisibility() && !one.disabled && !("walked" in one.dataset))
    .map((one) => one.outerHTML)"""
HOSTILE = "<img src=x onerror=alert(1)>\u202e\u2066</script>".ljust(251, "w")
"""Of 255 bytes, the most that a name has."""
NGINX = Path(__file__).parents[2] / "docs/page.md"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=MS)
    with browser.chromium() as started:
        yield started


class Tab:
    """A page that is open; what it should not do is noted."""

    def __init__(self, chromium: Browser, url: str, **how: Any) -> None:
        self.url, self.wrong = url, list[str]()
        self.context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}} | how)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(MS)
        self.page.on("console", lambda said: self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._asked)
        self.page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.page.goto(url)
        self.page.locator("#main").wait_for()

    def _asked(self, request: Any) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.wrong.append(f"asked for {request.url}")

    def close(self) -> None:
        self.context.close()
        assert self.wrong == []

    def shot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def status(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}-/status", timeout=PATIENCE) as response:
        found: dict[str, Any] = json.load(response)
    return found


def row(page: Page, name: str) -> Any:
    return page.locator("#server-rows > div", has_text=name)


def test_a_download_with_servers_that_fail(chromium: Browser, tmp_path: Path) -> None:
    random_file(tmp_path / "file.bin", 24 * MIB)
    small = 64 << 10  # so that the first wrong one is complete soon, whatever its server's speed
    hosted = tmp_path / "hosted"
    split(tmp_path / "file.bin", hosted, fragments=3, parity=1, servers=4, piece_size=small)
    manifest = alone(hosted / "file.bin.regather.json")
    folders = [hosted / f"server{n}" for n in (1, 2, 3, 4)]
    with Hosting() as hosting:
        slow = "slow:50KB"  # so that all of them are needed until this test has seen enough
        servers = [hosting.serve(folders[0], faults=[slow])]
        servers += [hosting.serve(folders[1], faults=[slow, "corrupt"])]
        servers += [hosting.serve(folder, faults=[slow]) for folder in folders[2:]]
        names = [f"127.0.0.1:{server.port}" for server in servers]
        watched, stop = WatchedDownloads(), threading.Event()
        job = DownloadJob(
            (str(manifest),), tmp_path / "copy", servers=tuple(server.url for server in servers)
        )
        runner = JobRunner(
            Settings(no_proxy="*"), on_progress=watched.progress, watcher=watched, stop=stop
        )

        def download() -> None:
            watched.finish(f"Done: {runner.run(job).name}.")

        with PageServer(lambda: Recorder("get", watched, events=watched.events)) as server:
            thread = threading.Thread(target=download)
            thread.start()
            tab = Tab(chromium, server.url)
            page = tab.page
            try:
                expect(row(page, names[1])).to_contain_text("corrupt")
                expect(page.locator("#state")).to_contain_text(
                    "Degraded: 1 of 4 servers is corrupt"
                )
                port = servers[2].port
                hosting.kill(servers[2])
                expect(row(page, names[2])).to_contain_text("gone")
                hosting.serve(folders[2], port=port)
                expect(row(page, names[2]).locator(".is")).to_have_text("ok")
                page.select_option("#filter", label=f"\u2068{names[2]}\u2069")
                expect(page.locator("#event-rows li").first).to_contain_text(names[2])
                assert all(
                    names[2] in text for text in page.locator("#event-rows li").all_inner_texts()
                )
                before = len(status(server.url)["graphs"]["seconds"])
                for one, folder in zip(servers, folders, strict=True):
                    port = one.port
                    if one is not servers[2]:
                        hosting.kill(one)
                        hosting.serve(folder, port=port)
                page.reload()
                expect(page.locator("#state")).to_contain_text("Done: file.bin.")
                assert len(status(server.url)["graphs"]["seconds"]) >= before > 1
                expect(page.locator("#piece-count")).to_have_text("384 of 384 here, 100 %")
            finally:
                stop.set()
                thread.join(PATIENCE)
        expect(page.locator("#link")).to_have_text("the command has ended; this is its last state")
        tab.close()
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "file.bin").read_bytes()


@contextmanager
def explained(tab: Tab) -> Iterator[None]:
    """An error says also what the program tells, and whether the page hears it."""
    try:
        yield
    except AssertionError as error:
        error.add_note(f"the page: {tab.page.locator('#link').inner_text()}, {tab.wrong}")
        try:
            error.add_note(json.dumps(status(tab.url)["servers"]))
        except OSError as gone:
            error.add_note(f"the program: {gone}")
        raise


def test_get_shows_a_server_that_comes_back_with_its_first_byte(
    chromium: Browser, tmp_path: Path
) -> None:
    """Its first piece takes longer than this test waits."""
    random_file(tmp_path / "file.bin", 24 * MIB)
    hosted = tmp_path / "hosted"
    split(tmp_path / "file.bin", hosted, fragments=3, servers=3, piece_size=8 * MIB)
    manifest = alone(hosted / "file.bin.regather.json")
    folders, slow = [hosted / f"server{n}" for n in (1, 2, 3)], ["slow:50KB"]
    with Hosting() as hosting:
        servers = [hosting.serve(folder, faults=slow) for folder in folders]
        known = [word for server in servers for word in ("--server", server.url)]
        out = tmp_path / "copy"
        words = ("-o", out, "--page", "--log", tmp_path / "get.log")
        with talking("get", manifest, *known, *words) as (_, _, errors):
            tab = Tab(chromium, errors.readline().removeprefix("Page: ").strip())
            its = row(tab.page, f"127.0.0.1:{servers[1].port}")
            with explained(tab):
                for _ in range(2):
                    expect(its.locator(".is")).to_have_text("ok")
                    hosting.kill(servers[1])
                    expect(its.locator(".is")).to_have_text("gone")
                    servers[1] = hosting.serve(folders[1], faults=slow, port=servers[1].port)
                expect(its.locator(".is")).to_have_text("ok")
            tab.close()
    assert not out.exists()


WORDS = {
    "h": "held",
    "r": "reading",
    "c": "corrupt",
    "o": "held, unreachable",
    "a": "missing",
    "u": "unknown",
}


def eventful() -> Sample:
    """One of everything."""
    now = sample()
    file = replace(
        now.files[0],
        link="http://127.0.0.1:1/file.bin",
        corrupt=[(2, 2)],
        absent=[(3, 3)],
        holdings=[None, *now.files[0].holdings[1:]],
    )
    servers = list(now.servers)
    servers[1] = replace(servers[1], condition="gone", pause=8.0, last_error="Connection refused")
    servers[2] = replace(servers[2], condition="corrupt", corrupt=3, errors={"connection lost": 2})
    return replace(now, files=[file], servers=servers)


def test_map_keys_and_links(chromium: Browser) -> None:
    with PageServer(lambda: Recorder("get", Made(eventful()), checks=Checks(list))) as server:
        tab = Tab(chromium, server.url)
        page = tab.page
        file = status(server.url)["files"][0]
        page.click("#map-table summary")
        cells = page.locator("#map-table tbody tr")
        expect(cells).to_have_count(5)
        page.focus("#map-view")
        for column, one in enumerate(file["fragments"]):
            texts = cells.nth(column).locator("td").all_inner_texts()
            assert texts[1:6] == [WORDS[letter] for letter in one["cells"]]
            for at, letter in enumerate(one["cells"]):
                place = f"Fragment {one['index']}.*server{at + 1}.example: {WORDS[letter]};"
                expect(page.locator("#map-cell")).to_have_text(re.compile(place))
                page.keyboard.press("ArrowDown")
            for _ in one["cells"]:
                page.keyboard.press("ArrowUp")
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Home")
        pictures = set()
        for key in ("Home", "ArrowRight", "ArrowDown"):  # the cursor is seen where it is
            page.keyboard.press(key)
            pictures.add(page.evaluate("document.getElementById('map-canvas').toDataURL()"))
        assert len(pictures) == 3
        page.evaluate("document.activeElement.blur()")
        page.evaluate(WALK)
        for _ in range(60):
            page.keyboard.press("Tab")
        assert page.evaluate(NOT_WALKED) == []
        row(page, "server3.example").locator("button").press("Enter")
        expect(page.locator("#server-3")).to_contain_text("corrupt pieces: 3")
        page.goto(f"{server.url}#server-2")
        expect(page.locator("#server-2 button")).to_have_attribute("aria-expanded", "true")
        expect(page.locator("#server-rows > div").nth(1)).to_contain_text("Connection refused")
        page.goto(f"{server.url}#events-2")
        expect(page.locator("#filter")).to_have_value("http://server2.example/")
        tab.close()


FIGURES = [
    *("Rate in", "Rate out", "Received", "Sent", "Readers"),
    *("From the cache", "Cache used", "Copies fetched", "Running for"),
]


class Lively:
    """Something of everything, since five minutes; it goes on."""

    def __init__(self) -> None:
        self._began = time.time()
        self.second: int | None = None
        """The one that is recorded, while the past is made up."""
        self.recorder = Recorder(
            "gateway", self, checks=Checks(list), clock=self._now, wall=self._now
        )
        for self.second in range(300):
            self.recorder.record()
            if self.second in (40, 41, 200):
                text = "par.cdn.example is too busy for fragment 6; fetched from waw.mirror.example"
                self.recorder.events.add(text, servers=("https://par.cdn.example/",))
        self.second = None
        text = "fra-1.mirror.example:8443 sent a corrupt piece of fragment 3; computed from parity"
        url = "https://fra-1.mirror.example:8443/"
        self.recorder.events.add(text, servers=(url,), level="bad")

    def _now(self) -> float:
        return time.time() if self.second is None else self._began - 300 + self.second

    def sample(self) -> Sample:
        second = 300 + int(time.time() - self._began) if self.second is None else self.second
        return lively(second)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding_and_nothing_cut_off(chromium: Browser, scheme: Any) -> None:
    if not AXE.exists():
        pytest.skip("no axe-core here: run `make stores`")
    with PageServer(lambda: Lively().recorder) as server:
        tab = Tab(chromium, server.url, color_scheme=scheme, reduced_motion="reduce")
        page = tab.page
        page.click("#server-rows button >> nth=2")
        page.click("#map-table summary")
        expect(page.locator("#figures dt")).to_have_text(FIGURES)
        expect(page.locator("#figures")).to_contain_text(" of 640.0 MiB")
        expect(page.locator("#sets")).to_contain_text("Set 1: 5 of 6 fragments are good, any 4 are")
        expect(row(page, "par.cdn.example").locator(".is")).to_have_text("paused 8 s")
        expect(page.locator("#transfer-count")).to_have_text("2, 5 more are not shown")
        # By its text, as the policy of the page forbids scripts from elsewhere, also to tests.
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run()")
        serious = [
            (one["id"], [node["html"] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        for width, height in ((1440, 900), (1240, 900), (320, 640), (3840, 2160)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(100)
            assert page.evaluate(TOO_WIDE) == []
            tab.shot(f"{scheme}-{width}")
        tab.close()


def test_hostile_names_are_text(chromium: Browser) -> None:
    now = sample(name=HOSTILE)
    hostile = f"http://host.example/{HOSTILE}/"
    file = replace(now.files[0], servers=[hostile, *now.files[0].servers[1:]])
    servers = [ServerSample(hostile, last_error=HOSTILE, errors={HOSTILE: 1}), *now.servers[1:]]
    recorder = Recorder("get", Made(replace(now, servers=servers, files=[file])))
    recorder.events.add(f"{HOSTILE} failed", servers=(hostile,), level="bad")
    with PageServer(lambda: recorder) as server:
        tab = Tab(chromium, server.url, viewport={"width": 320, "height": 640})
        page = tab.page
        shown = HOSTILE.replace("\u202e", "\\u202e").replace("\u2066", "\\u2066")
        expect(page.locator("#event-rows li")).to_contain_text(shown)
        expect(page.locator("#transfer-rows .name")).to_have_text(shown)
        page.click("#server-rows button >> nth=0")
        page.click("#map-table summary")
        expect(page.locator("img")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        tab.close()


@needs_nginx
def test_below_a_path_behind_nginx(chromium: Browser, tmp_path: Path) -> None:
    made = Made(sample())
    recipe = re.search(r"```nginx\n.*?( +location.*?)}\n```", NGINX.read_text("utf-8"), re.DOTALL)
    assert recipe is not None
    with PageServer(lambda: Recorder("get", made)) as server:
        location = recipe[1].replace("http://127.0.0.1:8080/", server.url)
        assert server.url in location
        with Nginx(tmp_path, extra=location) as nginx:
            tab = Tab(chromium, f"{nginx.url}watch/")
            expect(tab.page.locator("#link")).to_have_text("live")
            made.now = replace(made.now, activity="something else")
            expect(tab.page.locator("#activity")).to_have_text("Now: something else.")
            tab.close()


def test_check_and_download(chromium: Browser) -> None:
    now = sample()
    link = "http://0.0.0.0:8001/d/00/file%23.bin?download"
    now = replace(now, files=[replace(now.files[0], link=link)])
    checks = Checks(lambda: [Checked("file.bin", "healthy", "healthy", [], [])])
    with PageServer(
        lambda: Recorder("gateway", Made(now), checks=checks), token="secret"
    ) as server:
        tab = Tab(chromium, server.url)
        page = tab.page
        expect(page.locator("#download")).to_have_attribute(
            "href", link.replace("0.0.0.0", "127.0.0.1")
        )
        page.click("#check button")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#check-result")).to_have_text("Not checked: wrong token.")
        refused = tab.wrong.pop()
        assert "401" in refused
        page.fill("#check input", "secret")
        page.keyboard.press("Enter")
        expect(page.locator("#check-result")).to_contain_text("file.bin: healthy.")
        expect(page.locator("#check input")).to_be_hidden()
        tab.close()


def test_an_amended_event_stays_where_it_is(chromium: Browser) -> None:
    recorder = Recorder("get", Made(sample()))
    first = recorder.events.add("first", level="warning")
    recorder.events.add("second")
    with PageServer(lambda: recorder) as server:
        tab = Tab(chromium, server.url)
        expect(tab.page.locator("#event-rows .text")).to_have_text(
            ["Note: second", "Warning: first"]
        )
        recorder.events.amend(first, "first, made good", ())
        recorder.events.add("third")
        expect(tab.page.locator("#event-rows .text")).to_have_text(
            ["Note: third", "Note: second", "Warning: first, made good"]
        )
        tab.close()


def test_without_javascript(chromium: Browser) -> None:
    with PageServer(lambda: Recorder("get", Made(eventful()))) as server:
        context = chromium.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("noscript pre")).to_contain_text(
            "server2.example: gone, next attempt in 8 s"
        )
        expect(page.locator("#main")).to_be_hidden()
        context.close()


def test_a_hidden_tab_asks_for_nothing(chromium: Browser) -> None:
    made = Made(sample())
    with PageServer(lambda: Recorder("get", made)) as server:
        tab = Tab(chromium, server.url)
        hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
        hide += "document.dispatchEvent(new Event('visibilitychange'))"
        tab.page.evaluate(hide % "true")
        made.now = replace(made.now, activity="something else")
        for _ in range(40):
            if status(server.url)["state"]["activity"] == "something else":
                break
            tab.page.wait_for_timeout(50)
        tab.page.wait_for_timeout(50)
        expect(tab.page.locator("#activity")).to_have_text("Now: downloading.")
        tab.page.evaluate(hide % "false")
        expect(tab.page.locator("#activity")).to_have_text("Now: something else.")
        tab.close()
