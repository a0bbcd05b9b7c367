"""``regather check`` and ``regather repair`` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.files import MIB, random_file, regather
from tests.support.net import free_port
from tests.support.small import PIECE, flip, small

SIX = {f"server{n}": [n] for n in range(1, 7)}


def test_from_split_to_repair(tmp_path: Path) -> None:
    source = random_file(tmp_path / "file.bin", 3 * MIB + 17)
    out = tmp_path / "hosted"
    split = ("split", source, "--out", out, "--fragments", "3", "--servers", "5")
    assert regather(*split, "--parity", "2", "-q").returncode == 0
    manifest = out / "file.bin.regather.json"
    healthy = regather("check", manifest)
    assert healthy.returncode == 0
    assert (
        "erasure set 1: 5 of 5 fragments are good, any 3 are enough; "
        "2 more copies or 2 more sources can be lost" in healthy.stdout
    )
    assert "no data was read" in healthy.stdout
    assert (
        "; 10 % of the pieces were read ("
        in regather("check", manifest, "--read-data", "10%").stdout
    )
    target = out / "server2" / "file_fragment_2.dat"
    whole = target.read_bytes()
    flip(target, 12345)
    assert regather("check", manifest, "-q").returncode == 0
    degraded = regather("check", manifest, "--read-data")
    assert degraded.returncode == 5
    assert "corrupt piece 0" in degraded.stdout
    repaired = regather("repair", manifest)
    assert (repaired.returncode, target.read_bytes() == whole) == (0, True)
    assert "file_fragment_2.dat: restored" in repaired.stdout
    assert regather("check", manifest, "--read-data", "-q").returncode == 0


def test_folders_that_no_manifest_names(tmp_path: Path) -> None:
    path = small([3 * PIECE] * 2, parity=1).write(tmp_path, {"a": [1], "b": [2], "c": [3]})
    alone = path.rename(tmp_path / "a" / path.name)
    told = regather("get", alone, "-o", tmp_path / "copy")
    assert (told.returncode, told.stdout) == (4, "")
    assert "name every folder and server of the file, each with --server" in told.stderr
    both = ("--server", tmp_path / "a", "--server", tmp_path / "b")
    assert "1 of 3" not in regather("get", alone, *both, "-o", tmp_path / "copy").stderr
    assert "any 2 are enough; nothing more can be lost" in regather("check", alone, *both).stdout


def test_json_is_one_document(tmp_path: Path) -> None:
    path = small([3 * PIECE] * 4, parity=2).write(tmp_path, SIX)
    (tmp_path / "server1" / "file_fragment_1.dat").unlink()
    found = regather("check", path, "--json")
    assert (found.returncode, found.stderr) == (5, "")
    report = json.loads(found.stdout)
    assert report["status"] == "degraded"
    assert report["findings"][0]["state"] == "missing"
    found = regather("repair", path, "--json")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["restored"][0]["fragment"] == "file_fragment_1.dat"


def test_lost(tmp_path: Path) -> None:
    coded = small([6 * PIECE] * 2, parity=1)
    path = coded.write(tmp_path, {f"server{n}": [n] for n in (1, 2, 3)})
    for number in (1, 2):
        for row in (1, 2, 3, 5):
            flip(tmp_path / f"server{number}" / coded.names[number - 1], 8 * PIECE * row)
    for command in (("check", path, "--read-data"), ("repair", path)):
        found = regather(*command)
        assert found.returncode == 4
        for name in coded.names[:2]:
            assert f"{name}: LOST, rows 1-3, 5\n" in found.stdout


def test_a_server_that_is_away(tmp_path: Path) -> None:
    coded = small([3 * PIECE] * 2, parity=1)
    coded.write(tmp_path, {f"server{n}": [n] for n in (1, 2, 3)})
    url = f"http://127.0.0.1:{free_port()}/"
    folders = [a for n in (1, 2) for a in ("--server", tmp_path / f"server{n}")]
    path = coded.at({url: [3]}).write(tmp_path, {})
    found = regather("check", path, *folders, "--retries", "0")
    assert found.returncode == 5
    assert "unreachable" in found.stdout
    found = regather("repair", path, *folders, "--retries", "0")
    assert found.returncode == 1
    assert "NOT repaired" in found.stdout
    found = regather("repair", path, *folders, "--retries", "0", "--to", tmp_path / "new")
    assert found.returncode == 0
    assert (tmp_path / "new" / coded.names[2]).read_bytes() == coded.content[coded.names[2]]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check", "nowhere.json"), 2),
        (("check", "small.regather.json", "--read-data", "0"), 2),
        (("check", "small.regather.json", "--read-data", "110%"), 2),
        (("check", "small.regather.json", "--read-data", "some"), 2),
        (("check", "small.regather.json"), 4),
        (("repair", "nowhere.json"), 2),
        (("repair", "small.regather.json"), 4),
        (("repair", "small.regather.json", "--to", "ftp://x/"), 2),
        (("repair", "small.regather.json", "--to", "http://u:p@x/"), 2),
        (("repair", "small.regather.json", "--server", "nowhere"), 2),
        (("check", "damaged.json"), 3),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    small([10]).write(tmp_path, {})
    (tmp_path / "damaged.json").write_text("{}")
    found = regather(*arguments, cwd=tmp_path)
    assert (found.returncode, found.stdout) == (code, "")
    assert len(found.stderr.splitlines()) == 1
    assert "Traceback" not in found.stderr


def test_what_is_not_told_of_is_not_taken_for_lost(tmp_path: Path) -> None:
    """A manifest that was published to folders names none of them."""
    source = random_file(tmp_path / "f", 50_000)
    a, b = tmp_path / "a", tmp_path / "b"
    assert regather("publish", source, "--to", a, "--to", b, "-q").returncode == 0
    manifest = a / "f.regather.json"
    for command in (["check"], ["repair"]):
        alone = regather(*command, manifest)
        assert alone.returncode == 4
        assert "lists no sources, so only its own folder was checked" in alone.stdout
        assert f"--server {a}/ --server OTHER" in alone.stdout
    both = regather("check", manifest, "--server", a, "--server", b)
    assert both.returncode == 0
    assert "note" not in both.stdout
    c, d = tmp_path / "c", tmp_path / "d"
    assert regather("publish", source, "--to", c, "--to", d, "--replicas", "2").returncode == 0
    whole = regather("check", c / "f.regather.json")
    assert whole.returncode == 5
    assert f"--server {c}/ --server OTHER" in whole.stdout


def test_less_is_survived_than_it_was_made_for(tmp_path: Path) -> None:
    """Whoever copies all into one folder has every fragment, and no spare server."""
    source, out = random_file(tmp_path / "f", 50_000), tmp_path / "o"
    split = ("split", source, "--out", out, "--servers", "3", "--parity", "1", "-q")
    assert regather(*split).returncode == 0
    manifest, one = out / "f.regather.json", tmp_path / "one"
    assert regather("check", manifest).returncode == 0
    one.mkdir()
    for path in out.glob("server*/*"):
        path.rename(one / path.name)
    found = regather("check", manifest, "--server", one)
    assert found.returncode == 5
    assert "no loss of a source; it was made to survive the loss of any 1" in found.stdout
    report = json.loads(regather("check", manifest, "--server", one, "--json").stdout)
    assert (report["survives"], report["made_for"], report["status"]) == (0, 1, "degraded")
