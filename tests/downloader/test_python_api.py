"""The Python interface, synchronous and not."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import regather
from tests.support.files import alone, random_file
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.nginx import Nginx, needs_nginx
from tests.support.rogue import Rogue
from tests.support.tls import issue

SIZE = 6_000_000


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", servers=2)
    return tmp_path


def manifest(made: Path) -> str:
    return str(alone(made / "out" / "file.bin.regather.json"))


def test_everything_public_is_there() -> None:
    for name in regather.__all__:
        assert getattr(regather, name) is not None
    assert dir(regather) == regather.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = regather.nothing


def test_paths_do_where_texts_do(made: Path) -> None:
    content = (made / "file.bin").read_bytes()
    path, servers = Path(manifest(made)), [made / "out/server1", made / "out/server2"]
    regather.download(path, made / "x", servers=servers)
    assert (made / "x").read_bytes() == content
    asyncio.run(regather.adownload([path], made / "y", servers=servers))
    assert (made / "y").read_bytes() == content
    with regather.open(path, servers=servers) as file:
        assert file.read() == content
    assert regather.check(path, servers=servers).status == "healthy"


def test_progress_rises_to_the_whole(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / f"out/server{n}", faults=["slow:10MB"]).url for n in (1, 2)]
    seen: list[regather.Progress] = []
    report = regather.download(manifest(made), made / "x", servers=urls, on_progress=seen.append)
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert seen[-1].phase == "finishing"
    assert seen[-1].done == SIZE == report.size
    assert {s.url for s in seen[0].sources} == set(urls)
    assert sum(s.useful for s in report.sources) == SIZE
    assert report.verified
    assert report.digest == regather.Manifest.from_bytes(Path(manifest(made)).read_bytes()).digest


def test_an_error_in_the_callback_ends_the_download_resumably(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / f"out/server{n}", faults=["slow:4MB"]).url for n in (1, 2)]

    def broken(progress: regather.Progress) -> None:
        if progress.done:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        regather.download(manifest(made), made / "x", servers=urls, on_progress=broken)
    assert not (made / "x").exists()
    assert regather.download(manifest(made), made / "x", servers=urls).resumed > 0


def test_async(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / f"out/server{n}").url for n in (1, 2)]
    seen: list[int] = []

    async def main() -> None:
        thread = threading.get_ident()

        def progress(moment: regather.Progress) -> None:
            assert threading.get_ident() == thread
            seen.append(moment.done)

        both = await asyncio.gather(
            regather.adownload(manifest(made), made / "a", servers=urls, on_progress=progress),
            regather.adownload(manifest(made), made / "b", servers=urls),
        )
        assert [r.size for r in both] == [SIZE, SIZE]

    asyncio.run(main())
    assert seen
    assert (made / "a").read_bytes() == (made / "b").read_bytes()


def test_async_cancellation_is_resumable(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / f"out/server{n}", faults=["slow:2MB"]).url for n in (1, 2)]

    async def main() -> None:
        started = asyncio.Event()

        def progress(moment: regather.Progress) -> None:
            if moment.done:
                started.set()

        task = asyncio.create_task(
            regather.adownload(manifest(made), made / "x", servers=urls, on_progress=progress)
        )
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not (made / "x").exists()
    report = regather.download(manifest(made), made / "x", servers=urls)
    assert report.resumed > 0
    assert report.resumed + report.received == SIZE


def test_no_descriptor_is_left_open(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / f"out/server{n}").url for n in (1, 2)]

    def mine() -> set[str]:
        """Open files and sockets, without the servers' own in this process."""
        found = set()
        for number in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{number}")
            except OSError:
                continue
            if str(made) in target:
                found.add(target)
        return found

    regather.download(manifest(made), made / "x", servers=urls)
    assert regather.download(manifest(made), made / "x", servers=urls).kept
    (made / "z").write_bytes(b"other")
    with pytest.raises(regather.DestinationExistsError):
        regather.download(manifest(made), made / "z", servers=urls)
    with pytest.raises(regather.NotEnoughSourcesError):
        regather.download(manifest(made), made / "y", servers=[urls[0]])
    assert mine() == set()


def test_settings_are_checked() -> None:
    with pytest.raises(regather.UsageError, match="connections"):
        regather.Settings(connections=0)
    with pytest.raises(regather.UsageError, match="retries"):
        regather.Settings(retries=-1)
    with pytest.raises(regather.UsageError, match="either"):
        regather.download()
    with pytest.raises(regather.UsageError, match="cacert"):
        regather.download("https://h/x", settings=regather.Settings(cacert="/no/such/file"))


@needs_nginx
def test_tls(made: Path, tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    files = issue(tmp_path / "pki")
    with (
        Nginx(made / "out/server1", tls=files) as one,
        Nginx(made / "out/server2", tls=files) as two,
    ):
        urls = [one.url, two.url]
        assert all(url.startswith("https://") for url in urls)
        trusting = regather.Settings(cacert=str(files.authority), retries=0)
        report = regather.download(manifest(made), made / "x", servers=urls, settings=trusting)
        assert report.verified
        assert (made / "x").read_bytes() == (made / "file.bin").read_bytes()
        # By URL, and with nobody who vouches for the certificate.
        regather.download(
            one.url + "file.bin.regather.json", made / "y", servers=urls, settings=trusting
        )
        with pytest.raises(regather.NotEnoughSourcesError) as caught:
            regather.download(
                manifest(made), made / "z", servers=urls, settings=regather.Settings(retries=0)
            )
        assert "certificate refused" in "\n".join(caught.value.details)


@needs_nginx
def test_https_is_never_left_for_http(made: Path, tmp_path: Path, hosting: Hosting) -> None:
    plain = hosting.serve(made / "out" / "server1")
    (tmp_path / "pki").mkdir()
    files = issue(tmp_path / "pki")
    extra = f"location / {{ return 302 {plain.url}$uri; }}"
    with (
        Nginx(made / "out/server1", tls=files, extra=extra) as secure,
        pytest.raises(regather.NotEnoughSourcesError) as caught,
    ):
        regather.download(
            manifest(made),
            made / "x",
            servers=[secure.url],
            settings=regather.Settings(cacert=str(files.authority), retries=0),
        )
    assert "from https to http: refused" in "\n".join(caught.value.details)


def test_a_stream(made: Path, hosting: Hosting) -> None:
    content = (made / "file.bin").read_bytes()
    urls = [hosting.serve(made / f"out/server{n}").url for n in (1, 2)]
    seen: list[regather.Progress] = []
    with regather.stream(manifest(made), servers=urls, on_progress=seen.append) as stream:
        assert (stream.name, stream.size, stream.given) == ("file.bin", SIZE, 0)
        assert b"".join(stream) == content
        assert stream.given == SIZE
        assert stream.report().received == SIZE
        assert next(stream, None) is None
    assert seen[-1].phase == "finishing"
    with regather.stream(manifest(made), servers=urls) as stream:
        assert next(stream) == content[: 1 << 20]
        assert b"".join(map(bytes, stream.views())) == content[1 << 20 :], "each byte comes once"
        assert stream.given == SIZE
    with regather.stream(manifest(made), servers=urls) as stream:
        found, given = next(stream), []
        for run in stream.runs():
            found += b"".join(run)
            given.append(stream.given)
        assert (found, given[-1]) == (content, SIZE)
    with pytest.raises(regather.UsageError, match="no hash to verify it with"):
        regather.stream(hosting.serve(made).url + "file.bin")


def test_what_is_given_together_stays_until_the_next_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window is full all the time, and its memory is used again at once.

    Room is asked for after 14 pieces: in the midst of three that are given together.
    """
    piece = 64 << 10
    monkeypatch.setattr("regather.engine.streaming._WINDOW_BYTES", 28 * piece)
    content = random_file(tmp_path / "f.bin", 128 * piece + 1).read_bytes()
    regather.split(tmp_path / "f.bin", tmp_path / "out", fragments=1, piece_size=piece)
    lengths: list[int] = []
    with regather.stream(tmp_path / "out" / "f.bin.regather.json") as stream:
        found = b""
        for run in stream.runs():
            time.sleep(0.02)  # what could be written over it has come
            found += b"".join(run)
            lengths.append(len(run))
    assert found == content
    assert max(lengths) == 3, "an eighth of the window"
    assert lengths[-1] == 1, "the last one comes alone"


def test_a_stream_from_a_server_without_ranges(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer waits for the reader: else what is behind the window would come once more."""
    monkeypatch.setattr("regather.engine.streaming._WINDOW_BYTES", 2 << 20)
    regather.split(made / "file.bin", made / "one", fragments=1)
    handler = partial(SimpleHTTPRequestHandler, directory=str(made / "one"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            path = alone(made / "one" / "file.bin.regather.json")
            url = f"http://127.0.0.1:{server.server_port}/"
            settings = regather.Settings(timeout=1, retries=0)
            with regather.stream(path, servers=[url], settings=settings) as stream:
                found = next(stream)
                time.sleep(2.5)  # of a slow reader: much longer than a source may be silent
                found += b"".join(stream)
                assert found == (made / "file.bin").read_bytes()
                report = stream.report()
                assert (report.received, report.sources[0].errors) == (SIZE, 0)
        finally:
            server.shutdown()
            serving.join()


def test_a_stream_that_is_stopped(made: Path, hosting: Hosting) -> None:
    urls = [hosting.serve(made / f"out/server{n}", faults=["stall"]).url for n in (1, 2)]
    stop = threading.Event()
    with regather.stream(manifest(made), servers=urls, stop=stop) as stream:
        stop.set()
        with pytest.raises(regather.InterruptedDownload, match="were passed on"):
            next(stream)


@pytest.mark.parametrize("faults", [(), ("stall",)], ids=["at a piece", "while one is waited for"])
def test_a_stream_in_asyncio(made: Path, hosting: Hosting, faults: tuple[str, ...]) -> None:
    urls = [hosting.serve(made / f"out/server{n}", faults=faults).url for n in (1, 2)]

    async def whole() -> bytes:
        return b"".join([piece async for piece in regather.astream(manifest(made), servers=urls)])

    async def cancelled() -> None:
        reading = asyncio.create_task(whole())
        while not any(t.name == "regather-session" for t in threading.enumerate()):
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    if not faults:
        assert asyncio.run(whole()) == (made / "file.bin").read_bytes()
    else:
        asyncio.run(cancelled())
    assert not any(t.name == "regather-session" for t in threading.enumerate())


def test_a_stream_in_asyncio_that_is_cancelled_before_it_begins() -> None:
    """Nothing is known of the file yet: its server is silent, and is given two minutes."""
    patient = regather.Settings(timeout=120, connect_timeout=120)

    async def first(url: str) -> None:
        async for _ in regather.astream(url, settings=patient):
            break

    async def cancelled(rogue: Rogue) -> None:
        reading = asyncio.create_task(first(f"{rogue.url}x.regather.json"))
        while not rogue.requests:
            await asyncio.sleep(0.01)
        reading.cancel()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(asyncio.CancelledError):
                await reading

    def silent(head: bytes, connection: socket.socket) -> None:
        connection.recv(1)

    with Rogue(silent) as rogue:
        asyncio.run(cancelled(rogue))
