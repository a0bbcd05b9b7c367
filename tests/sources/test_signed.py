"""With --trust: what is not signed as it must be is refused before a byte of it is asked for.

Each test is a way to get round that decision, at one of the places that manifests come from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

import pytest

import regather
from regather.errors import VerificationError
from regather.names import signature_path
from regather.sources.signing import sign, sign_file
from regather.trust.secret_key import SecretKey
from tests.support.files import here, random_file
from tests.support.signing import Folder, Publisher

Run = CompletedProcess[str]


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)  # where a download goes that should have been refused
    return tmp_path / "state/regather/accepted.json"


@pytest.fixture
def us(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "us")


@pytest.fixture
def enemy(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "enemy")


def refused(run: Run, says: str, *, target: Path | None = None) -> None:
    assert (run.returncode, run.stdout) == (3, ""), run
    assert run.stderr.count("\n") == 1, run.stderr
    assert says in run.stderr
    assert target is None or not target.exists()


def get(url: str | Path, us: Publisher, *more: str | Path) -> Run:
    return here("get", url, "--trust", us.public, *more)


# -- what a manifest may lack -------------------------------------------------------------------


def unsigned(manifest: Path) -> None:
    Path(f"{manifest}.minisig").unlink()


def tampered(manifest: Path) -> None:
    manifest.write_bytes(manifest.read_bytes() + b"\n")


def wrongly_signed(manifest: Path) -> None:
    sign(manifest, SecretKey.new(), 1)


def comment_changed(manifest: Path) -> None:
    path = Path(f"{manifest}.minisig")
    path.write_text(path.read_text().replace("version:1", "version:9"))


Spoil = Callable[[Path], None]
FLAWS: dict[Spoil, str] = {
    unsigned: "no signature: ",
    tampered: "its signature does not match",
    wrongly_signed: "signed by key ",
    comment_changed: "the comment of its signature was changed",
}
flaws = pytest.mark.parametrize("spoil", FLAWS, ids=[flaw.__name__ for flaw in FLAWS])


def test_a_signed_manifest(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    with Folder(manifest.parent) as server:
        done = get(server.url + manifest.name, us, "-o", tmp_path / "got", "--json")
    report = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, report["signed_by"]) == (0, us.key.public.name)
    assert (tmp_path / "got").read_bytes() == (us.folder / "a.bin").read_bytes()
    shown = here("info", manifest, "--trust", us.public)
    assert f"signed  by key {us.key.public.name}, version 1, 20" in shown.stdout
    shown = here("info", manifest, "--trust", us.public, "--json")
    assert json.loads(shown.stdout)["signed"]["version"] == 1


@pytest.mark.parametrize("length", [233, 234, 241, 255])
def test_long_names(length: int, us: Publisher) -> None:
    """A signature whose name does not fit is found by its shorter name, in a folder and by URL."""
    name = "\u00e4 " + "x" * (length - 7) + ".bin"
    us.folder.mkdir()
    source = random_file(us.folder / name, 5000)
    regather.split(source, us.folder / "at", sign_with=us.key)
    (manifest,) = (us.folder / "at").glob("*.regather.json")
    assert here("info", manifest, "--trust", us.public).returncode == 0
    with Folder(manifest.parent) as server:
        url = f"{server.url}{quote(manifest.name)}"
        done = here("info", url, "--trust", us.public)
        assert (done.returncode, server.content) == (0, []), done.stderr
        signature = signature_path(manifest)
        signature.unlink()
        for where in (url, manifest):
            refused(here("info", where, "--trust", us.public), f"publisher for {signature.name}")


@flaws
@pytest.mark.parametrize("command", ["get", "info", "check", "repair", "metalink"])
def test_by_url(us: Publisher, spoil: Spoil, command: str, tmp_path: Path) -> None:
    manifest = us.publish()
    spoil(manifest)
    with Folder(manifest.parent) as server:
        done = here(command, server.url + manifest.name, "--trust", us.public)
        assert server.content == []
        # Not even the manifest is requested where it has no signature.
        assert spoil is not unsigned or {f"/{manifest.name}.minisig"} == set(server.paths)
    refused(done, FLAWS[spoil])


@flaws
@pytest.mark.parametrize("command", ["get", "info", "check", "repair", "metalink"])
def test_in_a_folder(us: Publisher, spoil: Spoil, command: str) -> None:
    manifest = us.publish()
    spoil(manifest)
    refused(here(command, manifest, "--trust", us.public), FLAWS[spoil])


@flaws
def test_in_python(us: Publisher, spoil: Spoil) -> None:
    import fsspec

    manifest = us.publish()
    spoil(manifest)
    settings = regather.Settings(trust=[us.public])
    with Folder(manifest.parent) as server:
        url = server.url + manifest.name
        calls = (regather.open, regather.check, regather.repair, regather.export_metalink)
        for call in (*calls, lambda url, settings: [*regather.stream(url, settings=settings)]):
            with pytest.raises(VerificationError, match=FLAWS[spoil]):
                call(url, settings=settings)
        files = fsspec.filesystem("regather", trust=[us.public])
        with pytest.raises(VerificationError, match=FLAWS[spoil]):
            files.open(url)
        assert server.content == []


@flaws
def test_of_several_places(us: Publisher, spoil: Spoil, tmp_path: Path) -> None:
    good, bad = us.publish(), us.publish(place="bad")
    spoil(bad)
    with Folder(good.parent) as one, Folder(bad.parent) as other:
        both = other.url + bad.name, one.url + good.name
        done = here("get", *both, "--trust", us.public, "-o", tmp_path / "got")
        assert done.returncode == 0, done.stderr
        assert FLAWS[spoil] in done.stderr
        refused(
            here("get", both[0], f"{other.url}x/{bad.name}", "--trust", us.public), FLAWS[spoil]
        )


def test_standard_input_has_no_signature(us: Publisher) -> None:
    refused(here("get", "-", "--trust", us.public), "no signature: /dev/stdin.minisig")


def test_one_of_several_keys(us: Publisher, enemy: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    (tmp_path / "us.pub").write_text(us.key.public.text)
    done = here("info", manifest, "--trust", enemy.public, "--trust", tmp_path / "us.pub")
    assert done.returncode == 0, done.stderr
    refused(here("info", manifest, "--trust", enemy.public), "signed by key")


def test_another_key_with_the_same_id(us: Publisher) -> None:
    manifest = us.publish()
    other = SecretKey.new()
    twin = us.key.public.__class__(us.key.id, other.public.key)
    refused(here("info", manifest, "--trust", twin.line), "does not match")
    both = here("info", manifest, "--trust", twin.line, "--trust", us.public)
    assert both.returncode == 0


# -- what an enemy may try ----------------------------------------------------------------------


def test_sources_that_lead_to_an_unsigned_manifest(
    us: Publisher, enemy: Publisher, tmp_path: Path
) -> None:
    """A source of a signed manifest has another one: it is not read, and its bytes are wrong."""
    evil = enemy.publish(seed=2, version=None)
    manifest = us.publish()
    shutil.copytree(manifest.parent, tmp_path / "alone")
    with Folder(evil.parent) as server:
        regather.split(us.folder / "a.bin", tmp_path / "alone", at=[server.url], force=True)
        sign(tmp_path / "alone" / manifest.name, us.key, 2)
        for path in (tmp_path / "alone").glob("*.dat"):
            path.unlink()
        done = get(tmp_path / "alone" / manifest.name, us, "-o", tmp_path / "got")
        assert manifest.name not in str(server.paths)
    assert done.returncode == 3, done
    assert not (tmp_path / "got").exists()


def test_redirects(us: Publisher, enemy: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    us.publish("b.bin", seed=3, place="b")
    evil = enemy.publish(seed=2)
    name = f"/{manifest.name}"
    with Folder(evil.parent) as theirs, Folder(us.folder / "b") as other:
        moves = [
            ({name: theirs.url + evil.name}, "its signature does not match"),
            ({f"{name}.minisig": f"{theirs.url}{evil.name}.minisig"}, "signed by key"),
            (
                {
                    name: theirs.url + evil.name,
                    f"{name}.minisig": f"{theirs.url}{evil.name}.minisig",
                },
                "signed by key",
            ),
            # Another file of the same publisher, rightly signed.
            (
                {
                    name: f"{other.url}b.bin.regather.json",
                    f"{name}.minisig": f"{other.url}b.bin.regather.json.minisig",
                },
                "it is the manifest of another file: 'b.bin.regather.json'",
            ),
        ]
        for moved, says in moves:
            with Folder(manifest.parent, moved=moved) as server:
                done = get(server.url + manifest.name, us, "-o", tmp_path / "got")
                refused(done, says, target=tmp_path / "got")
                assert (server.content, theirs.content, other.content) == ([], [], [])
        # To where the same is, nothing is wrong with a redirect.
        with Folder(manifest.parent) as good:
            moved = {
                name: good.url + manifest.name,
                f"{name}.minisig": good.url + name[1:] + ".minisig",
            }
            with Folder(tmp_path, moved=moved) as server:
                done = get(server.url + manifest.name, us, "-o", tmp_path / "got")
        assert done.returncode == 0, done.stderr


def test_a_folder_of_several_manifests(us: Publisher) -> None:
    import fsspec

    good = us.publish()
    bad = us.publish("b.bin", version=None, place="b")
    bad = Path(shutil.copy(bad, good.parent))
    files = fsspec.filesystem("regather", trust=us.public, skip_instance_cache=True)
    assert files.cat_file(str(good)) == (us.folder / "a.bin").read_bytes()
    with pytest.raises(VerificationError, match="no signature"):
        files.cat_file(str(bad))
    with pytest.raises(VerificationError, match="no signature"):
        files.info(str(bad))


@pytest.mark.parametrize("where", ["named", "URL", "content", "header"])
def test_metalinks(where: str, us: Publisher, tmp_path: Path) -> None:
    """Hashes in a metalink are what its server says, whatever leads to it."""
    manifest = us.publish()
    whole = us.folder / "a.bin"
    shutil.copy(whole, manifest.parent / "a.bin")
    with Folder(manifest.parent) as mirror:
        done = here("metalink", manifest, "--mirror", mirror.url, "-o", manifest.parent / "a.meta4")
        assert done.returncode == 0, done.stderr
        shutil.copy(manifest.parent / "a.meta4", manifest.parent / "a.regather.json")
        link = 'Link: <a.meta4>; rel=describedby; type="application/metalink4+xml"\r\n'
        with Folder(manifest.parent, headers={"/a.bin": link}) as server:
            source = {
                "named": str(manifest.parent / "a.meta4"),
                "URL": f"{server.url}a.meta4",
                "content": f"{server.url}a.regather.json",
                "header": f"{server.url}a.bin",
            }[where]
            assert where == "content" or here("get", source, "-o", tmp_path / "was").returncode == 0
            del server.paths[:], mirror.paths[:]
            done = get(source, us, "-o", tmp_path / "got")
            refused(done, "no signature", target=tmp_path / "got")
            assert (server.content, mirror.paths) == ([], [])


def test_a_signed_metalink_is_no_manifest(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    here("metalink", manifest, "--mirror", "http://127.0.0.1:1/", "-o", tmp_path / "a.meta4")
    text = us.key.sign((tmp_path / "a.meta4").read_bytes(), "timestamp:1\tfile:a.meta4").text
    (tmp_path / "a.meta4.minisig").write_text(text)
    done = get(tmp_path / "a.meta4", us)
    assert done.returncode == 2
    assert "not a manifest" in done.stderr


def test_mirrors_and_fragments(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    with Folder(manifest.parent) as server:
        for words in (
            [f"{server.url}a.bin"],
            [f"{server.url}a.bin", f"{server.url}b/a.bin"],
            [f"{server.url}a.bin", server.url + manifest.name],
            ["--fragment", f"{server.url}file_fragment_1.dat"],
        ):
            done = here("get", *words, "--trust", us.public, "-o", tmp_path / "got")
            assert (done.returncode, done.stdout) == (3, ""), done
            assert "no signature" in done.stderr
            assert server.content == []


def test_a_list(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    unsigned = us.publish("b.bin", version=None, place="b")
    with Folder(us.folder) as server:
        lines = [f"{server.url}at/{manifest.name}", f"{server.url}b/{unsigned.name}"]
        (tmp_path / "list").write_text("\n".join([*lines, f"{server.url}at/a.bin"]))
        done = here("get", "-i", tmp_path / "list", "-o", tmp_path, "--trust", us.public, "-q")
        assert done.returncode == 3
        assert [p for p in server.content if not p.startswith("/at/file_")] == []
    assert (tmp_path / "a.bin").exists()
    assert not (tmp_path / "b.bin").exists()


def test_a_partial_that_was_begun_without_trust(
    us: Publisher, enemy: Publisher, tmp_path: Path
) -> None:
    evil = enemy.publish(seed=2, version=None)
    got = tmp_path / "got"
    (evil.parent / "file_fragment_3.dat").unlink()
    assert here("get", evil, "-o", got).returncode == 4
    assert (tmp_path / "got.regather-part").exists()
    done = get(us.publish(), us, "-o", got)
    assert done.returncode == 0, done.stderr
    assert got.read_bytes() == (us.folder / "a.bin").read_bytes()


def test_a_file_that_was_there(us: Publisher, enemy: Publisher, tmp_path: Path) -> None:
    got = tmp_path / "got"
    assert here("get", enemy.publish(seed=2, version=None), "-o", got).returncode == 0
    assert get(us.publish(), us, "-o", got).returncode == 6
    assert here("get", us.publish(version=None), "-o", got, "--force").returncode == 0
    refused(get(us.publish(version=None), us, "-o", got), "no signature")


def test_a_server_on_the_command_line(us: Publisher, enemy: Publisher, tmp_path: Path) -> None:
    evil = enemy.publish(seed=2, version=None)
    manifest = us.publish()
    with Folder(evil.parent) as server, Folder(manifest.parent) as ours:
        done = get(ours.url + manifest.name, us, "--server", server.url, "-o", tmp_path / "got")
        assert done.returncode == 0, done.stderr
        assert evil.name not in str(server.paths)
        assert (tmp_path / "got").read_bytes() == (us.folder / "a.bin").read_bytes()
        more = "--server", ours.url
        refused(
            get(evil, us, *more, "-o", tmp_path / "bad"), "no signature", target=tmp_path / "bad"
        )


def test_what_is_in_memory(us: Publisher) -> None:
    """A file system without keys that has read a manifest is not the one of a reader with keys."""
    import fsspec

    manifest = us.publish(version=None)
    with Folder(manifest.parent) as server:
        url = server.url + manifest.name
        fsspec.filesystem("regather").cat_file(url)
        with pytest.raises(VerificationError, match="no signature"):
            fsspec.filesystem("regather", trust=us.public).cat_file(url)


@pytest.mark.parametrize("settles", [True, False])
def test_a_race_of_manifest_and_signature(settles: bool, us: Publisher, tmp_path: Path) -> None:
    """Both are replaced between the two requests: they are read again, and have to fit then."""
    manifest = us.publish()
    newer = us.publish(seed=2, version=2, place="newer")
    seen = 0

    def change(path: str) -> None:
        nonlocal seen
        if path == f"/{manifest.name}":
            seen += 1
            if seen == 1 or not settles:
                shutil.copy(newer, manifest)
                if settles:
                    shutil.copy(f"{newer}.minisig", f"{manifest}.minisig")

    with Folder(manifest.parent, before=change) as server:
        done = here("info", server.url + manifest.name, "--trust", us.public)
        assert server.content == []
    if settles:
        assert done.returncode == 0, done.stderr
        assert "version 2" in done.stdout
    else:
        refused(done, "its signature does not match")


def test_two_files_with_one_name(us: Publisher) -> None:
    """Who can write to one place cannot put there what stands at another under the same name."""
    one, other = us.publish(), us.publish(seed=2, place="other")
    assert here("info", one, "--trust", us.public).returncode == 0
    refused(here("info", other, "--trust", us.public), "ALARM: two different files")


LOOK_ALIKES = [
    ("a.bin", "\u0430.bin"),  # Cyrillic
    ("a-1.bin", "a\u20111.bin"),  # a hyphen that does not break
    ("\u00e9.bin", "e\u0301.bin"),  # composed and not
    ("a.bin", "A.bin"),
    ("a.bin", "a.bin\u200b"),
]


@pytest.mark.parametrize(("name", "other"), LOOK_ALIKES)
def test_names_that_look_alike(name: str, other: str, us: Publisher) -> None:
    """The manifest of another file of the same key, under the name that is asked for."""
    alike = us.publish(other, seed=2, place="other")
    for end in ("", ".minisig"):
        shutil.move(f"{alike}{end}", alike.parent / f"{name}.regather.json{end}")
    with Folder(alike.parent) as server:
        done = here("get", f"{server.url}{quote(name)}.regather.json", "--trust", us.public)
    refused(done, f"another file: {other + '.regather.json'!a}")


def signed_with(manifest: Path, us: Publisher, comment: str) -> None:
    """Sign it with a comment of our own."""
    text = us.key.sign(manifest.read_bytes(), comment).text
    Path(f"{manifest}.minisig").write_text(text)


def test_a_name_that_its_signature_does_not_have(us: Publisher) -> None:
    """What minisign signed under another name, by the comment, is not of this file."""
    manifest = us.publish()
    signed_with(manifest, us, "timestamp:5\tfile:b.bin.regather.json\thashed")
    refused(get(manifest, us), "its signature is for 'b.bin.regather.json'")


def test_a_digest_that_its_signature_does_not_have(us: Publisher) -> None:
    manifest = us.publish()
    comment = f"timestamp:5\tfile:a.bin.regather.json\tversion:1\tdigest:{'ab' * 32}"
    signed_with(manifest, us, comment)
    refused(get(manifest, us), "its signature is for digest abab")


def test_a_manifest_that_minisign_signed(us: Publisher) -> None:
    manifest = us.publish()
    signed_with(manifest, us, f"timestamp:5\tfile:{manifest.name}\thashed")
    shown = here("info", manifest, "--trust", us.public, "--json")
    assert json.loads(shown.stdout)["signed"] == {
        "key": us.key.public.name,
        "version": 5,
        "time": 5,
    }


def test_a_digest_counts_as_well(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    refused(get(manifest, us, "--digest", "ab" * 32), "not the expected one")


# -- no way back --------------------------------------------------------------------------------


def test_older_versions(us: Publisher, enemy: Publisher, state: Path) -> None:
    trust = "--trust", us.public
    old = us.publish(version=3)
    assert here("info", old, *trust).returncode == 0
    new = us.publish(seed=2, version=4, place="new")
    assert here("info", new, *trust).returncode == 0
    known = state.read_bytes()
    refused(here("get", old, *trust), "version 3 is older than version 4, which was accepted")
    assert here("info", old, *trust, "--allow-older").returncode == 0
    assert here("check", old, *trust, "--allow-older", "-q").returncode == 0
    assert state.read_bytes() == known
    refused(here("info", old, *trust), "is older than version 4")
    # Other keys and names are others.
    assert here("info", enemy.publish(version=1), "--trust", enemy.public).returncode == 0
    assert here("info", us.publish("b.bin", version=1), *trust).returncode == 0


def test_two_digests_of_one_version(us: Publisher) -> None:
    trust = "--trust", us.public
    assert here("info", us.publish(version=3), *trust).returncode == 0
    other = us.publish(seed=2, version=3, place="other")
    for more in ([], ["--allow-older"]):
        refused(here("info", other, *trust, *more), "ALARM: two different files are signed")


def test_versions_by_default_grow(us: Publisher) -> None:
    manifest = us.publish(version=None)
    _, said = sign_file(manifest, us.key, None)
    assert said.version == said.time > 1_700_000_000


def test_what_cannot_be_remembered(
    us: Publisher, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    manifest = us.publish()
    assert here("info", manifest, "--trust", us.public).returncode == 0
    for text, mode, says in (
        (b"{", 0o600, "damaged"),
        (state.read_bytes(), 0o622, "others can change"),
        (b" " * (17 << 20), 0o600, "larger than 16 MiB"),
    ):
        state.write_bytes(text)
        state.chmod(mode)
        done = here("info", manifest, "--trust", us.public)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done
        assert says in done.stderr
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/none")
    done = here("info", manifest, "--trust", us.public)
    assert done.returncode == 1
    assert "XDG_STATE_HOME" in done.stderr


def test_a_relative_state_folder_counts_for_nothing(
    us: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert here("info", us.publish(), "--trust", us.public).returncode == 0
    assert (tmp_path / "home/.local/state/regather/accepted.json").stat().st_mode & 0o777 == 0o600


# -- said once, and demanded --------------------------------------------------------------------


def test_nothing_confirms_the_manifest(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish(version=None)
    digest = json.loads(here("info", manifest, "--json").stdout)["digest"]
    with Folder(manifest.parent) as server:
        url = server.url + manifest.name
        done = here("get", url, "-o", tmp_path / "1")
        assert done.stderr == (
            "regather: every piece is verified, but no key and no digest confirms the manifest; "
            f"to pin it, give --digest {digest}\n"
        )
        pin = done.stderr.rpartition("give ")[2].split()
        assert here("get", url, "-o", tmp_path / "2", *pin).stderr == ""
        for value, code in ((digest, 0), (digest[::-1], 3)):
            listed = tmp_path / f"list{code}"
            listed.write_text(f"{url}\n out=listed{code}\n digest={value}\n")
            assert here("get", "-i", listed, "-o", tmp_path).returncode == code
        sha256 = hashlib.sha256((tmp_path / "1").read_bytes()).hexdigest()
        assert here("get", url, "-o", tmp_path / "3", "--sha256", sha256).stderr == ""
        assert here("get", url, "-o", tmp_path / "4", "-q").stderr == ""
    assert here("get", manifest, "-o", tmp_path / "5").stderr == ""


def test_trust_required(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    shutil.copy(us.folder / "a.bin", manifest.parent)
    digest = json.loads(here("info", manifest, "--json").stdout)["digest"]
    sha256 = hashlib.sha256((us.folder / "a.bin").read_bytes()).hexdigest()
    demand = "--require-trust", "-o", tmp_path / "got", "--force"
    with Folder(manifest.parent) as server:
        url = server.url + manifest.name
        refused(here("get", url, *demand), "--require-trust is set", target=tmp_path / "got")
        assert server.content == []
        for command in ("info", "check", "repair", "metalink"):
            refused(here(command, url, "--require-trust"), "--require-trust is set")
        whole = f"{server.url}a.bin"
        refused(
            here("get", whole, *demand),
            "neither a checksum nor a digest confirms it",
            target=tmp_path / "got",
        )
        for words in (
            [url, "--digest", digest],
            [url, "--trust", us.public],
            [url, "--sha256", sha256],
            [whole, "--sha256", sha256],
            [manifest],
        ):
            assert here("get", *words, *demand).returncode == 0, words


def test_keys_that_are_none(us: Publisher, tmp_path: Path) -> None:
    manifest = us.publish()
    (tmp_path / "empty.pub").touch()
    for given in (tmp_path / "none.pub", tmp_path / "empty.pub", "RWQ"):
        done = here("get", manifest, "--trust", given)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)


# -- the configuration --------------------------------------------------------------------------


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "conf/config.toml"
    path.parent.mkdir()
    path.touch(0o600)
    monkeypatch.setenv("REGATHER_CONFIG", str(path))
    return path


def test_keys_of_the_configuration(
    us: Publisher, enemy: Publisher, config: Path, tmp_path: Path
) -> None:
    (config.parent / "us.pub").write_text(us.key.public.text)
    ours, theirs = us.publish(), enemy.publish()
    with Folder(tmp_path) as server:
        host = server.url[7:-1]
        urls = [f"{server.url}{p.relative_to(tmp_path)}" for p in (ours, theirs)]
        right, wrong = (0, 3), (3, 0)
        for text, path_codes, url_codes in (
            ('[defaults]\ntrust = "us.pub"', right, right),
            (f'[info]\ntrust = ["{us.public}"]', right, right),
            (f'[host."{host}"]\ntrust = "us.pub"', (0, 0), right),
            ('[trust]\n"a.*" = "us.pub"', right, right),
            ('[trust]\n"b.*" = "us.pub"', (0, 0), (0, 0)),
            # What says more of a manifest goes first.
            (
                f'[defaults]\ntrust = "us.pub"\n[host."{host}"]\ntrust = "{enemy.public}"',
                right,
                wrong,
            ),
            (
                f'[host."{host}"]\ntrust = "us.pub"\n[trust]\n"a.*" = "{enemy.public}"',
                wrong,
                wrong,
            ),
            ("[info]\nrequire-trust = true", (0, 0), (3, 3)),
        ):
            config.write_text(text)
            told = tuple(here("info", p).returncode for p in (ours, theirs))
            assert (told, text) == (path_codes, text)
            told = tuple(here("info", url).returncode for url in urls)
            assert (told, text) == (url_codes, text)
        config.write_text(
            f'[defaults]\ntrust = "us.pub"\n[host."{host}"]\ntrust = "us.pub"\n'
            '[trust]\n"*" = "us.pub"'
        )
        # The command line goes before all of them.
        assert here("info", urls[1], "--trust", enemy.public).returncode == 0
        assert here("info", urls[0], "--trust", enemy.public).returncode == 3
        shown = json.loads(here("config", "get", "--json").stdout)
        assert shown["trust"]["*"]["value"] == [str(config.parent / "us.pub")]


def test_a_pattern_counts_for_a_name_that_the_address_has_not_in_full(
    us: Publisher, enemy: Publisher, config: Path
) -> None:
    """A long name is shortened in the address, so that a pattern of its end does not fit there."""
    enemy.folder.mkdir()
    source = random_file(enemy.folder / f"{'x' * 245}.safe", 5000)
    regather.split(source, enemy.folder / "at", sign_with=enemy.key)
    (manifest,) = (enemy.folder / "at").glob("*.regather.json")
    config.write_text(f'[defaults]\ntrust = "{enemy.public}"\n[trust]\n"*.safe" = "{us.public}"')
    refused(here("get", manifest), f"trusted is {us.key.public.name}")


def test_a_pattern_counts_for_the_name_in_the_manifest_too(
    us: Publisher, config: Path, tmp_path: Path
) -> None:
    """Whoever calls the manifest something else does not get past the pattern."""
    manifest = us.publish()
    config.write_text(f'[trust]\n"a.*" = "{us.public}"')
    shutil.copytree(manifest.parent, tmp_path / "at")
    for end in ("", ".minisig"):
        (tmp_path / f"at/{manifest.name}{end}").rename(tmp_path / f"at/x.regather.json{end}")
    refused(here("get", tmp_path / "at/x.regather.json"), "the manifest of another file")
    unsigned(tmp_path / "at/x.regather.json")
    refused(here("get", tmp_path / "at/x.regather.json"), "no signature")
    # Nor does a metalink, which names its file itself.
    with Folder(us.folder) as server:
        document = tmp_path / "x.meta4"
        here(
            "metalink", manifest, "--mirror", f"{server.url}", "-o", document, "--trust", us.public
        )
        assert document.exists()
        refused(here("get", document, "-o", tmp_path / "got"), "is no signed manifest")
        assert server.paths == []


def test_a_file_that_is_no_manifest_is_left_to_minisign(us: Publisher) -> None:
    us.publish()
    with Folder(us.folder) as server:
        told = here("get", server.url + "a.bin", "--trust", us.public)
    refused(told, "no signature")
    assert "for other files use minisign -V or --sha256 HEX" in told.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[trust]\n"a" = 5', "config.toml:2: [trust] a has to be a public key"),
        ('[trust]\n"a" = []', "names no key"),
        ('[trust]\n"a" = "none.pub"', "none.pub: not usable as a public key"),
        ('[host."x"]\ntrust = ""', "must not be empty"),
        ('[get]\ntrust = "none.pub"', "none.pub: not usable as a public key"),
        ("[get]\nallow-older = true", "cannot be set here"),
    ],
)
def test_a_wrong_configuration(text: str, says: str, us: Publisher, config: Path) -> None:
    config.write_text(text)
    done = here("get", us.publish())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done
    assert says in done.stderr
