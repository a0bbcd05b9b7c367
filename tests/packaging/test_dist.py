"""What ``make dist`` makes: the same bytes each time, complete, installable."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable, Mapping
from email.parser import HeaderParser
from pathlib import Path
from subprocess import PIPE

import pytest

import regather

ROOT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent


def surroundings(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment without what points to the tests' own Python."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {"PIP_NO_COMPILE": "1", **kept, **variables}


def called(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """What a command printed that has to succeed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=surroundings(variables),
        capture_output=True,
        text=True,
        timeout=570,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def dist(folder: Path, *, cwd: Path = ROOT, compiled: bool = False, **variables: str) -> Path:
    """What ``make dist`` makes, in ``folder``. The environment of the tests stays as it is."""
    environment = ROOT / ".venv"
    kept = f"{environment}/.installed"
    settings = (f"DIST={folder}", f"COMPILED={'yes' if compiled else 'no'}", f"VENV={environment}")
    called("make", "-o", kept, "dist", *settings, cwd=cwd, **variables)
    return folder


def only(folder: Path, pattern: str) -> Path:
    """The one file of this name."""
    (found,) = folder.glob(pattern)
    return found


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dist(tmp_path_factory.mktemp("dist"), SOURCE_DATE_EPOCH="1700000000")


@pytest.fixture(scope="module")
def sdist_names(built: Path) -> set[str]:
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        archive.extractall(folder, filter="data")
    return only(folder, "regather-*")


def test_another_build_gives_the_same_bytes(built: Path, unpacked: Path, tmp_path: Path) -> None:
    # From the sdist, elsewhere, in another time zone, with flags and a seed of hashes of its own.
    again = dist(
        tmp_path / "again",
        cwd=unpacked,
        TZ="Asia/Tokyo",
        CFLAGS="-O0",
        PYTHONHASHSEED="7",
        SOURCE_DATE_EPOCH="1700000000",
    )
    assert digests(again) == digests(built)


def test_the_bill_of_materials_has_all_that_is_pinned(built: Path) -> None:
    bill = json.loads(only(built, "*.cdx.json").read_bytes())
    assert bill["bomFormat"] == "CycloneDX"
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"]) == ("regather", regather.__version__)
    pinned: dict[tuple[str, str], set[str]] = {}
    for line in (ROOT / "requirements/runtime.txt").read_text().splitlines():
        if name := re.match(r"([a-z0-9-]+)==([^ ]+)", line):
            hashes = pinned.setdefault((name[1], name[2]), set())
        else:
            hashes |= set(re.findall("sha256:([0-9a-f]{64})", line))
    found = {
        (part["name"], part["version"]): {
            one["content"] for where in part["externalReferences"] for one in where["hashes"]
        }
        for part in bill["components"]
    }
    assert found == pinned
    assert len(pinned) > 10


def test_the_time_of_the_source_is_the_time_of_its_files(built: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        assert {entry.date_time for entry in wheel.infolist()} == {(2023, 11, 14, 22, 13, 20)}
    later = dist(tmp_path / "later", SOURCE_DATE_EPOCH="1800000000")
    assert set(digests(later).values()).isdisjoint(digests(built).values())


def test_the_sdist_holds_all_that_is_tracked(sdist_names: set[str]) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: what is tracked is not known")
    tracked = set(called("git", "ls-files").splitlines())
    present = {name for name in tracked if (ROOT / name).exists()}
    assert present - sdist_names == set()
    assert not [name for name in sdist_names if name.endswith((".so", ".pyc"))]
    assert {"README.md", "LICENSE", "docs/architecture.md", "tests/conftest.py"} <= sdist_names


def test_the_wheel_says_what_it_is(built: Path) -> None:
    with zipfile.ZipFile(only(built, "*-py3-none-any.whl")) as wheel:
        names = set(wheel.namelist())
        (about,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(wheel.read(about).decode())
        (scripts,) = (name for name in names if name.endswith("/entry_points.txt"))
        assert "regather = regather.cli:run" in wheel.read(scripts).decode()
        for page in (ROOT / "docs").glob("*.md"):
            if (topic := f"regather/cli/topics/{page.name}") in names:
                assert wheel.read(topic) == page.read_bytes()
    assert sum(name.startswith("regather/cli/topics/") for name in names) > 15
    manuals = {Path(name).name for name in names if "/share/man/man1/" in name}
    assert manuals == {page.name for page in (ROOT / "share/man/man1").iterdir()}
    assert "regather/py.typed" in names
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    manuals = {path.name for path in (ROOT / "share/man/man1").iterdir()}
    assert {Path(name).name for name in names if ".data/data/share/man/man1/" in name} == manuals
    source = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == source


def test_an_sdist_builds_without_a_network(unpacked: Path, tmp_path: Path, built: Path) -> None:
    # As distributions do: their own build tools, no index.
    offline = ("--no-index", "--no-build-isolation", "--no-deps", "-w", tmp_path)
    called(sys.executable, "-m", "pip", "wheel", *offline, unpacked)
    assert only(tmp_path, "*.whl").name == only(built, "*.whl").name


def compiled(_: Path) -> Path:
    """The compiled wheel of the present source, which ``make dist`` alone makes: it takes long."""
    for path in (ROOT / "dist").glob("regather-*-cp*.whl"):
        with zipfile.ZipFile(path) as wheel:
            source = [name for name in wheel.namelist() if name.endswith(".py")]
            if all((ROOT / "src" / n).read_bytes() == wheel.read(n) for n in source):
                return path
    pytest.skip("dist/ holds no compiled wheel of this source: run `make dist`")


@pytest.mark.timeout(600)
def test_the_compiled_wheel_is_the_same_again(tmp_path: Path) -> None:
    wheel = compiled(tmp_path)
    if not os.environ.get("CI"):
        pytest.skip("compiling once more takes half a minute: set CI=1")
    assert only(dist(tmp_path, compiled=True), "*-cp*.whl").read_bytes() == wheel.read_bytes()


def pure(built: Path) -> Path:
    return only(built, "*-py3-none-any.whl")


def sdist(built: Path) -> Path:
    return only(built, "*.tar.gz")


def by_pip(package: Path, place: Path) -> Path:
    venv.create(place, with_pip=True)
    called(place / "bin" / "python", "-m", "pip", "install", "--quiet", package)
    return place / "bin" / "regather"


def by_pipx(package: Path, place: Path) -> Path:
    called(
        TOOLS / "pipx",
        *("install", "--quiet", package),
        PIPX_HOME=str(place / "home"),
        PIPX_BIN_DIR=str(place / "bin"),
        PIPX_MAN_DIR=str(place / "man"),
    )
    return place / "bin" / "regather"


def by_uv(package: Path, place: Path) -> Path:
    called(
        TOOLS / "uv",
        *("tool", "install", "--quiet", "--python", sys.executable, package),
        UV_TOOL_DIR=str(place / "tools"),
        UV_TOOL_BIN_DIR=str(place / "bin"),
    )
    return place / "bin" / "regather"


@pytest.mark.parametrize(
    ("package", "installed"),
    [(pure, by_pip), (pure, by_pipx), (sdist, by_uv), (compiled, by_uv)],
    ids=["wheel-pip", "wheel-pipx", "sdist-uv", "compiled-uv"],
)
def test_what_is_installed_does_the_first_job(
    package: Callable[[Path], Path],
    installed: Callable[[Path, Path], Path],
    built: Path,
    tmp_path: Path,
) -> None:
    regather = installed(package(built), tmp_path / "place")
    assert list((tmp_path / "place").rglob("share/man/man1/regather-get.1"))
    home = tmp_path / "job"
    home.mkdir()
    first_job(regather, home, {"HOME": str(home)})


def first_job(regather: Path, folder: Path, variables: Mapping[str, str]) -> None:
    """Make a file, split it for three servers, and get it from servers that fail at random."""
    assert "1 EiB" in called(regather, "help", "sizes", cwd=folder, **variables)
    called(regather, "generate", "large.bin", "--size", "8MiB", cwd=folder, **variables)
    split = ("--out", "hosted", "--servers", "3", "--parity", "1", "--fragments", "2")
    called(regather, "split", "large.bin", *split, cwd=folder, **variables)
    cluster = (regather, "cluster", "hosted", "--json", "--fault", "reset@0.2")
    with subprocess.Popen(cluster, cwd=folder, env=surroundings(variables), stdout=PIPE) as serving:
        try:
            assert serving.stdout is not None
            urls = json.loads(serving.stdout.readline())["urls"]
            servers = [word for url in urls for word in ("--server", url)]
            manifest = "hosted/large.bin.regather.json"
            get = (regather, "get", manifest, *servers, "-o", "copy.bin")
            called(*get, cwd=folder, **variables)
        finally:
            serving.terminate()
    assert filecmp.cmp(folder / "large.bin", folder / "copy.bin", shallow=False)
