"""Whoever publishes, splits or repairs with a key: what is signed, and what is taken over."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

import regather
from regather.errors import DestinationExistsError, VerificationError
from regather.manifest import Manifest
from regather.server.authorization import Tokens
from regather.sources.settings import Settings, transport_options
from regather.transport.stores.open import open_store
from tests.publisher.support import SECRET, SETTINGS, make_cloud
from tests.support.files import here, random_file
from tests.support.hosting import Hosting
from tests.support.minisign import minisign, needs_minisign
from tests.support.signing import Publisher
from tests.support.swift import Swift

NAME = "a.bin.regather.json"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def us(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "us")
    made.folder.mkdir()
    random_file(made.folder / "a.bin", 5000)
    (tmp_path / "us.key").write_text(made.key.text())
    (tmp_path / "us.pub").write_text(made.key.public.text)
    return made


def test_a_signed_split(us: Publisher, tmp_path: Path) -> None:
    out, source = tmp_path / "out", us.folder / "a.bin"
    words = "split", source, "--out", out, "--servers", "2", "-q"
    assert here(*words, "--sign-with", tmp_path / "us.key").returncode == 0
    places = [out, out / "server1", out / "server2"]
    for place in places:
        assert here("info", place / NAME, "--trust", us.public).returncode == 0
    # A later one, unsigned, leaves no signature that is not of it.
    assert here(*words, "--force").returncode == 0
    assert [str(path) for path in out.rglob("*.minisig")] == []
    assert here("info", out / NAME, "--trust", us.public).returncode == 3
    assert [p for p in out.rglob("*") if ".regather-part-" in p.name] == []


def test_a_server_that_is_not_used_any_more_keeps_no_signature(
    us: Publisher, tmp_path: Path
) -> None:
    source, out = us.folder / "a.bin", tmp_path / "out"
    regather.split(source, out, servers=3, sign_with=us.key)
    regather.split(source, out, servers=2, sign_with=us.key, force=True)
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["server1", "server2"]
    assert here("info", out / NAME, "--trust", us.public).returncode == 0


def test_a_signature_that_a_killed_split_left_half_written(us: Publisher, tmp_path: Path) -> None:
    left = tmp_path / f"out/{NAME}.minisig.regather-part-{2**30}"
    left.parent.mkdir()
    left.touch()
    regather.split(us.folder / "a.bin", tmp_path / "out", sign_with=us.key)
    assert not left.exists()


def test_a_signature_in_the_way_of_a_split(us: Publisher, tmp_path: Path) -> None:
    (tmp_path / f"out/{NAME}.minisig").mkdir(parents=True)
    done = here("split", us.folder / "a.bin", "--out", tmp_path / "out", "-q")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done


@needs_minisign
def test_minisign_verifies_what_is_published(us: Publisher, tmp_path: Path) -> None:
    words = "publish", us.folder / "a.bin", "--to", tmp_path / "1", "--to", tmp_path / "2"
    done = here(*words, "--sign-with", tmp_path / "us.key")
    assert done.returncode == 0, done.stderr
    assert f"--trust {us.public}" in done.stdout
    for place in (tmp_path / "1", tmp_path / "2"):
        told = minisign("-V", "-m", place / NAME, "-P", us.public)
        assert told.returncode == 0, told.stderr
    before = (tmp_path / f"1/{NAME}.minisig").read_bytes()
    # Once more changes nothing; a target that has lost its signature gets the same one.
    (tmp_path / f"2/{NAME}.minisig").unlink()
    assert here(*words, "--sign-with", tmp_path / "us.key").returncode == 0
    for place in (tmp_path / "1", tmp_path / "2"):
        assert (place / f"{NAME}.minisig").read_bytes() == before


def test_published_to_servers(us: Publisher, hosting: Hosting, tmp_path: Path) -> None:
    cloud = make_cloud(tmp_path, hosting, 2, 5000)
    report = regather.publish(cloud.file, cloud.urls, sign_with=us.key, settings=SETTINGS)
    for manifest in report.manifests:
        settings = Settings(trust=[us.public])
        got = regather.download(manifest, tmp_path / "got", settings=settings, force=True)
        assert got.signed_by == us.key.public.name


def test_object_stores(us: Publisher, swift: Swift, tmp_path: Path) -> None:
    settings = Settings(store_options=swift.options, trust=[us.public])
    bucket = f"s3://{swift.bucket()}/d/"
    report = regather.publish(us.folder / "a.bin", [bucket], sign_with=us.key, settings=settings)
    assert regather.download(report.manifests[0], tmp_path / "got", settings=settings).signed_by
    with contextlib.closing(open_store(bucket, transport_options(settings))) as store:
        store.delete(f"{NAME}.minisig")
    with pytest.raises(VerificationError, match="no signature"):
        regather.download(report.manifests[0], tmp_path / "again", settings=settings)
    assert not (tmp_path / "again").exists()


def published(us: Publisher, target: Path, **how: object) -> bytes:
    regather.publish(us.folder / "a.bin", [target], **how)  # type: ignore[arg-type]
    return (target / NAME).read_bytes()


def with_source(target: Path, url: str) -> None:
    """Whoever can write to a target adds a source to the manifest there."""
    document = json.loads((target / NAME).read_bytes())
    document["sources"] = [{"url": url}]
    (target / NAME).write_text(json.dumps(document))


EVIL = "http://127.0.0.1:9/"


@pytest.mark.parametrize("flaw", ["unsigned", "tampered", "another key"])
def test_what_is_merged_must_be_signed(flaw: str, us: Publisher, tmp_path: Path) -> None:
    target = tmp_path / "target"
    key = Publisher(tmp_path).key if flaw == "another key" else us.key
    published(us, target, sign_with=None if flaw == "unsigned" else key)
    if flaw != "another key":
        with_source(target, EVIL)
    before = {path: path.read_bytes() for path in target.iterdir()}
    words = "publish", us.folder / "a.bin", "--to", target, "--sign-with", tmp_path / "us.key"
    done = here(*words, "--trust", us.public)
    assert (done.returncode, done.stdout) == (3, ""), done
    assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in target.iterdir()} == before
    assert here(*words, "--trust", us.public, "--force").returncode == 0
    assert EVIL.encode() not in (target / NAME).read_bytes()
    assert here("info", target / NAME, "--trust", us.public).returncode == 0


def test_what_is_signed_takes_nothing_over_from_what_is_not(us: Publisher, tmp_path: Path) -> None:
    target = tmp_path / "target"
    published(us, target)
    with_source(target, EVIL)
    assert EVIL.encode() in published(us, target)
    assert EVIL.encode() not in published(us, target, sign_with=us.key)


def test_a_signed_manifest_is_not_made_an_unsigned_one(us: Publisher, tmp_path: Path) -> None:
    target = tmp_path / "target"
    published(us, target, sign_with=us.key)
    with pytest.raises(DestinationExistsError, match="is signed, and the new manifest"):
        published(us, target)
    published(us, target, force=True)
    assert not (target / f"{NAME}.minisig").exists()


# -- repair -------------------------------------------------------------------------------------


def at_servers(us: Publisher, hosting: Hosting, tmp_path: Path) -> tuple[Path, list[str]]:
    """A signed split over two servers that its manifest names, and one that is empty."""
    out = tmp_path / "out"
    for number in (1, 2, 3):
        (out / f"server{number}").mkdir(parents=True)
    urls = [hosting.serve(out / f"server{n}", tokens=Tokens(write=SECRET)).url for n in (1, 2, 3)]
    regather.split(
        us.folder / "a.bin",
        out,
        fragments=2,
        servers=2,
        replicas=2,
        at=urls[:2],
        sign_with=us.key,
    )
    return out, urls


def test_a_repair_that_changes_sources(us: Publisher, hosting: Hosting, tmp_path: Path) -> None:
    out, urls = at_servers(us, hosting, tmp_path)
    settings = Settings(
        retries=0,
        trust=[us.public],
        tokens=SETTINGS.tokens,
    )
    hosting.kill(hosting._servers[1])
    before = (out / NAME).read_bytes()
    report = regather.repair(out / NAME, to=[urls[2]], settings=settings)
    # Without the key it stays as it is; the copy that the new source gets is signed too.
    assert "keeps its sources: to change it, give the key with --sign-with" in str(report.unwritten)
    assert report.status == "incomplete"
    assert (out / NAME).read_bytes() == before
    assert (out / "server3" / NAME).read_bytes() == before
    assert here("info", out / "server3" / NAME, "--trust", us.public).returncode == 0
    # Nor is it changed where no key is trusted, and a signature is seen beside it.
    plain = Settings(retries=0, tokens=settings.tokens)
    for where in (out / NAME, f"{urls[0]}{NAME}"):
        report = regather.repair(where, to=[urls[2]], settings=plain)
        assert (out / NAME).read_bytes() == before
        assert (out / "server1" / NAME).read_bytes() == before
    report = regather.repair(out / NAME, to=[urls[2]], sign_with=us.key, settings=settings)
    assert report.manifests
    for place in (out, out / "server1", out / "server3"):
        sources = {s.url for s in Manifest.from_bytes((place / NAME).read_bytes()).sources}
        assert sources == {urls[0], urls[2]}, place
        assert here("info", place / NAME, "--trust", us.public).returncode == 0, place


def test_a_repair_signs_what_was_signed_with_its_version(
    us: Publisher, hosting: Hosting, tmp_path: Path
) -> None:
    """Also where no key is trusted: else a version that the publisher counts could only fall."""
    out, urls = at_servers(us, hosting, tmp_path)
    for place in (out, out / "server1", out / "server2"):
        regather.sign(place / NAME, us.key, 3)
    assert here("info", out / NAME, "--trust", us.public).returncode == 0
    hosting.kill(hosting._servers[1])
    settings = Settings(retries=0, tokens=SETTINGS.tokens)
    report = regather.repair(out / NAME, to=[urls[2]], sign_with=us.key, settings=settings)
    assert report.manifests
    for place in (out, out / "server1", out / "server3"):
        shown = here("info", place / NAME, "--trust", us.public, "--json")
        assert (json.loads(shown.stdout)["signed"]["version"], shown.stderr) == (3, "")


def test_a_repair_does_not_sign_what_another_key_has_signed(
    us: Publisher, hosting: Hosting, tmp_path: Path
) -> None:
    out, urls = at_servers(us, hosting, tmp_path)
    hosting.kill(hosting._servers[1])
    settings = Settings(retries=0, tokens=SETTINGS.tokens)
    before = {path: path.read_bytes() for path in out.rglob("*.json*")}
    with pytest.raises(VerificationError, match="signed by key"):
        regather.repair(
            out / NAME, to=[urls[2]], sign_with=Publisher(tmp_path).key, settings=settings
        )
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("trusted", [True, False])
def test_a_manifest_that_a_repair_puts_back_is_signed(
    trusted: bool, us: Publisher, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    regather.split(us.folder / "a.bin", out, servers=2, replicas=2, sign_with=us.key)
    for name in (NAME, f"{NAME}.minisig", "file_fragment_1.dat"):
        (out / "server2" / name).unlink()
    trust = ("--trust", us.public) if trusted else ()
    assert here("repair", out / NAME, *trust, "-q").returncode == 0
    assert here("info", out / "server2" / NAME, "--trust", us.public).returncode == 0
