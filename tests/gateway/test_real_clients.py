"""Programs that know nothing of manifests, while one of the servers behind the gateway dies."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import regather
from regather.cluster import Cluster
from regather.gateway.launch import GatewayServer
from regather.server.answers import EXIT_DIED
from regather.server.serving import tls_context
from tests.gateway.support import started
from tests.support.browser import chromium
from tests.support.daemon import find_program
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.swift import PYTHON as STORES_PYTHON
from tests.support.tls import TlsFiles, issue

PIECE = 64 << 10
SIZE = 9_000_000
DIES = ("--fault", "die@0.5", "--fault-seed", "6")
"""In the middle of its first answer: a quick reader may need no second one."""


@contextmanager
def gateway(path: Path, hosting: Hosting, tls: TlsFiles | None = None) -> Iterator[GatewayServer]:
    """One over three servers, the first of which must die while the ``with`` body runs."""
    folder = path.parent / "hosted"
    split = regather.split(
        path, folder, fragments=2, parity=1, servers=3, piece_size=PIECE, sync=False
    )
    others = [hosting.serve(folder / name).url for name in ("server2", "server3")]
    context = tls_context(str(tls.certificate), str(tls.key)) if tls else None
    with Cluster([folder / "server1"], arguments=[DIES]) as dying:
        (member,) = dying.members
        manifest = folder / f"{split.name}.regather.json"
        yield started(hosting, [manifest], servers=[member.url, *others], tls=context)
        assert member.process.wait(PATIENCE) == EXIT_DIED


def run(*words: str | Path, cwd: Path | None = None, **environment: str) -> str:
    """What a program writes that must succeed."""
    program = find_program(str(words[0]))
    if program is None:
        pytest.skip(f"{words[0]} is missing: apt-get install {PACKAGES[str(words[0])]}")
    done = subprocess.run(
        [program, *map(str, words[1:])],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


PACKAGES = {
    "curl": "curl",
    "aria2c": "aria2",
    "wget": "wget",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
}


def test_curl_with_ranges(hosting: Hosting, tmp_path: Path) -> None:
    file = random_file(tmp_path / "file.bin", SIZE)
    step = SIZE // 5 + 1
    words: list[str | Path] = ["curl", "-q"]
    parts = [tmp_path / f"part{n}" for n in range(5)]
    with gateway(file, hosting) as server:
        for n, part in enumerate(parts):
            words += ["--next"] * bool(n)
            words += ["-sSf", "-r", f"{n * step}-{(n + 1) * step - 1}", "-o", part]
            words.append(f"{server.url}file.bin")
        run(*words)
    assert b"".join(part.read_bytes() for part in parts) == file.read_bytes()


def test_aria2c_with_eight_connections(hosting: Hosting, tmp_path: Path) -> None:
    file, out = random_file(tmp_path / "file.bin", SIZE), tmp_path / "out"
    how = ("--no-conf", "-q", "-x8", "-s8", "-k1M", "-d", out)
    with gateway(file, hosting) as server:
        run("aria2c", *how, f"{server.url}file.bin")
    assert (out / "file.bin").read_bytes() == file.read_bytes()


def test_wget_goes_on(hosting: Hosting, tmp_path: Path) -> None:
    file, out = random_file(tmp_path / "file.bin", SIZE), tmp_path / "out"
    out.mkdir()
    (out / "file.bin").write_bytes(file.read_bytes()[: SIZE // 3])
    with gateway(file, hosting) as server:
        run("wget", "--no-config", "-q", "-c", f"{server.url}file.bin", cwd=out)
    assert (out / "file.bin").read_bytes() == file.read_bytes()


# -- folders of packages ----------------------------------------------------------------------


def wheel(folder: Path, name: str, requires: Sequence[str] = ()) -> Path:
    """A package of Python with a few pieces of data."""
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    meta = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0"]
    meta += [f"Requires-Dist: {other}" for other in requires]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/data", os.urandom(20 * PIECE))
        archive.writestr(f"{info}/METADATA", "\n".join(meta) + "\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


def test_pip_download(hosting: Hosting, tmp_path: Path) -> None:
    wheels, out = tmp_path / "wheels", tmp_path / "out"
    wheels.mkdir()
    made = [wheel(wheels, "alpha", ["beta"]), wheel(wheels, "beta")]
    how = ("--isolated", "download", "-q", "--disable-pip-version-check", "--no-cache-dir")
    with gateway(wheels, hosting) as server:
        links = ("--no-index", "--find-links", f"{server.url}wheels/")
        run("python3", "-m", "pip", *how, *links, "-d", out, "alpha")
    for path in made:
        assert (out / path.name).read_bytes() == path.read_bytes()


def package(folder: Path, name: str, work: Path) -> Path:
    """A package of Debian with a few pieces of data."""
    root = work / name
    (root / "DEBIAN").mkdir(parents=True)
    (root / "data").write_bytes(os.urandom(20 * PIECE))
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <x@example.org>\n"
        "Description: a test\n"
    )
    path = folder / f"{name}_1_all.deb"
    run("dpkg-deb", "-Znone", "--root-owner-group", "-b", root, path)
    return path


def test_apt_get(hosting: Hosting, tmp_path: Path) -> None:
    """With folders and a configuration of its own, so that it touches nothing of this machine."""
    repository, apt = tmp_path / "debian", tmp_path / "apt"
    repository.mkdir()
    debs = [package(repository, name, tmp_path / "work") for name in ("alpha", "beta")]
    index = ""
    for deb in debs:
        content = deb.read_bytes()
        index += run("dpkg-deb", "-f", deb)
        index += f"Filename: ./{deb.name}\nSize: {len(content)}\n"
        index += f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    (repository / "Packages").write_text(index)
    sha256 = hashlib.sha256(index.encode()).hexdigest()
    (repository / "Release").write_text(f"SHA256:\n {sha256} {len(index)} Packages\n")
    for folder in ("state/lists/partial", "cache/archives/partial", "etc", "log"):
        (apt / folder).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "apt.conf").write_text(
        f'Dir "{apt}/"; Dir::State "{apt}/state"; Dir::State::status "{apt}/status";\n'
        f'Dir::Cache "{apt}/cache"; Dir::Log "{apt}/log"; Dir::Etc "{apt}/etc";\n'
        'Dir::Etc::Parts "none"; Dir::Etc::Main "none";\n'
        'APT::Sandbox::User ""; Acquire::Languages "none";\n'
    )
    with gateway(repository, hosting) as server:
        (apt / "etc/sources.list").write_text(f"deb [trusted=yes] {server.url}debian/ ./\n")
        for words in (["update"], ["download", "alpha", "beta"]):
            run("apt-get", "-q", *words, cwd=apt, APT_CONFIG=f"{apt}/apt.conf")
    for deb in debs:
        assert (apt / deb.name).read_bytes() == deb.read_bytes()


# -- files that are read here and there -------------------------------------------------------


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds each of red, green and blue, with noise; what is where stands at its end."""
    path = tmp_path_factory.mktemp("video") / "video.mp4"
    colours = "".join(
        f"color={colour}:s=320x240:r=10:d=4[{colour}];" for colour in ("red", "lime", "blue")
    )
    joined = f"{colours}[red][lime][blue]concat=n=3,noise=alls=70:allf=t"
    how = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p", path)
    run("ffmpeg", "-v", "error", "-filter_complex", joined, *how)
    assert path.stat().st_size > 40 * PIECE
    return path


def test_ffprobe(video: Path, hosting: Hosting, tmp_path: Path) -> None:
    """The hash of each packet is that of the file itself."""
    copy = tmp_path / video.name
    copy.hardlink_to(video)
    how = ("-v", "error", "-show_packets", "-show_data_hash", "sha256", "-of", "json")
    with gateway(copy, hosting) as server:
        found = json.loads(run("ffprobe", *how, f"{server.url}{video.name}"))
    assert len(found["packets"]) == 120
    assert found == json.loads(run("ffprobe", *how, video))


def test_a_video_in_a_browser(video: Path, hosting: Hosting, tmp_path: Path) -> None:
    """It is moved to the middle, the end and the beginning, and shows what is there."""
    copy = tmp_path / video.name
    copy.hardlink_to(video)
    with gateway(copy, hosting) as server, chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.headers.get("range", "")))
        page.goto(f"{server.url}{video.name}")
        seen = [page.evaluate(COLOUR_AT, second) for second in (6, 11, 1)]
        page.close()
    assert seen == ["green", "blue", "red"]
    assert any(header.startswith("bytes=") and header != "bytes=0-" for header in asked), asked


COLOUR_AT = """async (second) => {
    const video = document.querySelector("video"), canvas = document.createElement("canvas");
    video.pause();
    const moved = new Promise((done, failed) => {
        video.addEventListener("seeked", done, {once: true});
        video.addEventListener("error", () => failed(video.error), {once: true});
    });
    video.currentTime = second;
    await moved;
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, 1, 1);
    const mean = context.getImageData(0, 0, 1, 1).data;
    return ["red", "green", "blue"].find((_, at) => mean[at] === Math.max(...mean.slice(0, 3)));
}"""
"""The colour of a video at a time: the strongest part of its mean."""


DUCKDB = """
import sys
from importlib.resources import files
import duckdb
url, authority = sys.argv[1:]
place = f"extensions/v{duckdb.__version__}/httpfs.duckdb_extension"
with duckdb.connect() as connection:
    connection.execute(f"LOAD '{files('duckdb_extension_httpfs') / place}'")
    connection.execute("SET enable_server_cert_verification = true")
    connection.execute(f"SET ca_cert_file = '{authority}'")
    print(*connection.execute(f"SELECT sum(a), sum(b) FROM '{url}' WHERE few = 5").fetchone())
"""


def test_duckdb_over_https(hosting: Hosting, tmp_path: Path) -> None:
    """Its own reader of HTTP, and two columns of four."""
    if not STORES_PYTHON.exists():
        pytest.skip("no duckdb with httpfs here: run `make stores`")
    values = np.random.default_rng(1).integers(-(2**40), 2**40, (3, 200_000))
    few = np.arange(200_000) % 97
    table, tls = tmp_path / "table.parquet", issue(tmp_path / "tls")
    columns = dict(zip("abc", values, strict=True))
    pq.write_table(pa.table({**columns, "few": few}), table, row_group_size=20_000)
    with gateway(table, hosting, tls) as server:
        url = f"{server.url}table.parquet"
        told = run(STORES_PYTHON, "-I", "-c", DUCKDB, url, tls.authority)
    assert told.split() == [str(values[n][few == 5].sum()) for n in (0, 1)]
