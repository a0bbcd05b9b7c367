"""``regather.serve``: what the command does, for programs."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import regather
from tests.support.net import PATIENCE
from tests.support.tls import issue

CONTENT = b"served " * 1000


@contextmanager
def serving(path: Path, **options: Any) -> Iterator[str]:
    """The URL of a server in a thread, which ends with the block."""
    stop, urls = threading.Event(), queue.Queue[tuple[str, int]]()
    thread = threading.Thread(
        target=regather.serve,
        args=(path,),
        kwargs={
            "port": 0,
            "stop": stop,
            "on_listening": lambda url, port: urls.put((url, port)),
            **options,
        },
    )
    thread.start()
    try:
        url, port = urls.get(timeout=PATIENCE)
        assert f":{port}/" in url
        yield url
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not thread.is_alive()


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        body: bytes = answer.read()
    return body


@pytest.fixture
def fragment(tmp_path: Path) -> Path:
    (tmp_path / "file_fragment_1.dat").write_bytes(CONTENT)
    return tmp_path / "file_fragment_1.dat"


def test_a_file_and_a_folder(fragment: Path) -> None:
    with serving(fragment) as url:
        assert get(url) == get(url + fragment.name) == CONTENT
    with serving(fragment.parent) as url:
        assert get(url + fragment.name) == CONTENT
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_faults_and_their_seed(fragment: Path) -> None:
    def answers(seed: int) -> list[bool]:
        with serving(fragment, faults="error:503@0.5", fault_seed=seed) as url:
            return [works(url) for _ in range(20)]

    def works(url: str) -> bool:
        try:
            return get(url) == CONTENT
        except urllib.error.HTTPError as error:
            error.close()
            return error.code != 503

    assert answers(1) == answers(1) != answers(2)


def test_tokens(fragment: Path) -> None:
    with serving(fragment, read_token="secret") as url:
        with pytest.raises(urllib.error.HTTPError, match="401") as caught:
            get(url)
        caught.value.close()
        assert get(url, Authorization="Bearer secret") == CONTENT


def test_uploads_and_their_limit(fragment: Path, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()

    def publish(url: str) -> regather.PublishReport:
        host = url.removeprefix("http://").rstrip("/")
        return regather.publish(fragment, url, settings=regather.Settings(tokens={host: "w"}))

    with (
        serving(tmp_path / "store", write_token="w", max_upload=100) as url,
        pytest.raises(regather.NotPlacedError),
    ):
        publish(url)
    with serving(tmp_path / "store", write_token="w") as url:
        regather.download(publish(url).manifests[0], tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_tls(fragment: Path, tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    files = issue(tmp_path / "pki")
    settings = regather.Settings(cacert=str(files.authority))
    with serving(fragment, tls_cert=files.certificate, tls_key=files.key) as url:
        assert url.startswith("https://")
        regather.download(url + fragment.name, tmp_path / "copy", settings=settings)
    assert (tmp_path / "copy").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": 65536}, "no such port: 65536"),
        ({"faults": "explode"}, "bad fault 'explode'"),
        ({"host": "256.0.0.1.invalid"}, r"unknown host.*in Python: host|give a host name"),
        ({"tls_cert": "c.pem"}, r"needs both.*in Python: tls_cert, tls_key"),
        ({"read_token": "two words"}, r"the token contains spaces.*in Python: read_token"),
        ({"max_upload": 1}, r"without uploads.*in Python: write_token"),
    ],
)
def test_what_cannot_be_served(fragment: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(regather.UsageError, match=told):
        regather.serve(fragment, **{"port": 0, **options})


def test_a_missing_file_and_a_port_in_use(fragment: Path) -> None:
    with pytest.raises(regather.UsageError, match="no such file"):
        regather.serve(fragment.with_name("none"), port=0)
    with serving(fragment) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        with pytest.raises(regather.RegatherError, match=r"in use.*in Python: port"):
            regather.serve(fragment, port=port)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(fragment: Path, number: int) -> None:
    script = (
        "import sys, regather\n"
        "regather.serve(sys.argv[1], port=0, on_listening=lambda *to: print(*to, flush=True))\n"
        "print('after')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(fragment)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert get(process.stdout.readline().split()[0]) == CONTENT
            process.send_signal(number)
            assert process.stdout.read() == "after\n"
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
