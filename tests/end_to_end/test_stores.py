"""Files in an object store, published and fetched, with nodes of the store killed meanwhile."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import obstore
import pytest

import regather
from regather.downloader import Settings
from tests.support.files import MIB, alone, leftovers, random_file
from tests.support.files import regather as command
from tests.support.hosting import Hosting
from tests.support.swift import Swift

SIZE = 6 * MIB + 5


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_file(tmp_path_factory.mktemp("original") / "file.bin", SIZE)


def settings_of(swift: Swift, **other: float) -> Settings:
    return Settings(store_options=swift.options, **other)  # type: ignore[arg-type]


def targets_in(bucket: str, count: int = 3) -> list[str]:
    return [f"s3://{bucket}/place {n}" for n in range(1, count + 1)]


def published(swift: Swift, original: Path) -> str:
    """Publish with parity; returns the address of the manifest."""
    report = regather.publish(
        original, targets_in(swift.bucket()), parity=1, settings=settings_of(swift)
    )
    return report.manifests[0]


def once(at: float, act: Callable[[], None]) -> Callable[[int, int], None]:
    """A progress callback that acts one time, when this share is done."""
    left = [act]

    def tell(done: int, total: int) -> None:
        if left and done >= at * total:
            left.pop()()

    return tell


def test_what_publish_prints_gets_the_file(swift: Swift, original: Path, tmp_path: Path) -> None:
    """Also the options of the store: only credentials come from elsewhere."""
    bucket = swift.bucket()
    environment = {k: v for k, v in swift.environment().items() if k != "AWS_ENDPOINT_URL"}
    options = ("--store-option", f"endpoint={swift.endpoint}", "--store-option", "region=us-east-1")
    to = [word for target in targets_in(bucket) for word in ("--to", target)]
    told = command("publish", original, *to, "--parity", "1", *options, environment=environment)
    assert told.returncode == 0, told.stderr
    words = shlex.split(told.stdout.strip().splitlines()[-1])
    assert words[:2] == ["regather", "get"]
    got = command(*words[1:], cwd=tmp_path, environment=environment)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "file.bin").read_bytes() == original.read_bytes()
    # The same again: nothing is sent.
    again = command(
        "publish", original, *to, "--parity", "1", *options, "--json", environment=environment
    )
    assert json.loads(again.stdout)["uploaded"] == 0


def test_a_node_dies_while_it_is_fetched(swift: Swift, original: Path, tmp_path: Path) -> None:
    where = published(swift, original)
    dead: list[int] = []

    def watch(progress: regather.Progress) -> None:
        if progress.done > SIZE // 4 and not dead:
            dead.append(2)
            swift.kill(2)

    try:
        report = regather.download(
            where, tmp_path, settings=settings_of(swift, limit_rate=6 * MIB), on_progress=watch
        )
        assert dead
        assert report.verified
        assert Path(report.path).read_bytes() == original.read_bytes()
        assert leftovers(tmp_path) == []
    finally:
        if dead:
            swift.revive(2)


def test_nodes_die_one_after_the_other_while_it_is_published(swift: Swift, tmp_path: Path) -> None:
    """What was stored while one was dead has two copies, so it lasts when another dies."""
    large = random_file(tmp_path / "large.bin", 17 * MIB, seed=2)
    dead: list[int] = []
    bucket = swift.bucket()

    def next_dies() -> None:
        if dead:
            swift.revive(dead[-1])
        dead.append(len(dead) + 1)
        swift.kill(dead[-1])

    acts = [once(share, next_dies) for share in (0.55, 0.7, 0.85)]

    def watch(done: int, total: int) -> None:
        for act in acts:
            act(done, total)

    try:
        report = regather.publish(
            large,
            targets_in(bucket, 2),
            fragments=1,
            parity=1,
            settings=settings_of(swift, limit_rate=12 * MIB, retries=10),
            on_progress=watch,
        )
        assert dead == [1, 2, 3]
        for manifest in report.manifests:
            got = regather.download(manifest, tmp_path / "got", settings=settings_of(swift))
            assert got.verified
            assert Path(got.path).read_bytes() == large.read_bytes()
            Path(got.path).unlink()
    finally:
        if dead:
            swift.revive(dead[-1])


def test_mirrors_of_the_whole_file(
    swift: Swift, original: Path, tmp_path: Path, hosting: Hosting
) -> None:
    bucket = swift.bucket()
    obstore.put(swift.client(bucket), "pub/file.bin", original.read_bytes())
    server = hosting.serve(original.parent)
    mirrors = [f"s3://{bucket}/pub/file.bin", f"{server.url}file.bin", str(original)]
    report = regather.download(mirrors, tmp_path, settings=settings_of(swift))
    assert Path(report.path).read_bytes() == original.read_bytes()
    assert [s.url for s in report.sources] == mirrors
    alone = regather.download(mirrors[0], tmp_path / "alone", settings=settings_of(swift))
    assert Path(alone.path).read_bytes() == original.read_bytes()
    # As a fragment of its own, and by a metalink.
    plain = regather.download(
        fragments=[mirrors[0]], dest=tmp_path / "plain", settings=settings_of(swift)
    )
    assert Path(plain.path).read_bytes() == original.read_bytes()


def test_a_metalink_that_names_a_store(swift: Swift, original: Path, tmp_path: Path) -> None:
    bucket = swift.bucket()
    obstore.put(swift.client(bucket), "pub/file.bin", original.read_bytes())
    manifest = regather.split(original, tmp_path / "hosted")
    assert manifest.size == SIZE
    path = tmp_path / "hosted" / "file.bin.regather.json"
    made = command("metalink", path, "--mirror", f"s3://{bucket}/pub/", "--file", original)
    assert made.returncode == 0, made.stderr
    assert f"s3://{bucket}/pub/file.bin" in made.stdout
    (tmp_path / "x.meta4").write_text(made.stdout)
    report = regather.download(
        str(tmp_path / "x.meta4"), tmp_path / "got.bin", settings=settings_of(swift)
    )
    assert report.verified
    assert Path(report.path).read_bytes() == original.read_bytes()


def test_checked_repaired_shown_and_read_in_place(swift: Swift, original: Path) -> None:
    where = published(swift, original)
    settings = settings_of(swift)
    assert regather.check(where, read_data=1.0, settings=settings).status == "healthy"
    bucket = where.split("/")[2]
    obstore.delete(swift.client(bucket), "place 1/file_fragment_1.dat")
    assert regather.check(where, settings=settings).status == "degraded"
    report = regather.repair(where, settings=settings)
    assert [item.fragment for item in report.restored] == ["file_fragment_1.dat"]
    assert regather.check(where, read_data=1.0, settings=settings).status == "healthy"
    shown = command("info", where, "--json", environment=swift.environment())
    assert json.loads(shown.stdout)["size"] == SIZE
    data = original.read_bytes()
    with regather.open(where, settings=settings) as file:
        for at in (0, SIZE // 2, SIZE - 10):
            file.seek(at)
            assert file.read(10) == data[at : at + 10]


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "says"),
    [
        (["--store-option", "profile=none"], {}, 2, "no profile 'none'"),
        ([], {"AWS_PROFILE": "none"}, 2, "no profile 'none'"),
        (["--store-option", "nonsense=1"], {}, 2, "unknown option"),
        (["--store-option", "endpoint=nonsense"], {}, 2, "not the address of a store"),
        (["--store-option", "secret_access_key=x"], {}, 2, "a secret"),
        ([], {"AWS_ENDPOINT_URL": "nonsense"}, 2, "AWS_ENDPOINT_URL"),
        ([], {"AWS_SECRET_ACCESS_KEY": "wrong"}, None, "check the credentials"),
    ],
)
def test_what_is_set_wrong(
    swift: Swift,
    original: Path,
    tmp_path: Path,
    arguments: list[str],
    changes: dict[str, str],
    code: int | None,
    says: str,
) -> None:
    """One line, of get and of publish, and of sources beside a local manifest."""
    environment = {**swift.environment(), **changes}
    regather.split(original, tmp_path / "h", fragments=2)
    manifest = alone(tmp_path / "h" / "file.bin.regather.json")
    calls: list[tuple[list[str | Path], int]] = [
        (["get", "s3://bucket/x", "-o", tmp_path / "out"], 4),
        (["get", manifest, "--server", "s3://bucket/x", "-o", tmp_path / "out"], 4),
        (["publish", original, "--to", "s3://bucket/x"], 1),
    ]
    for words, otherwise in calls:
        told = command(*words, *arguments, environment=environment)
        assert told.returncode == (code or otherwise), told.stderr
        assert says in told.stderr
        assert "Traceback" not in told.stderr


def test_a_bucket_that_does_not_exist(swift: Swift, original: Path) -> None:
    """Told before the file is read."""
    told = command("publish", original, "--to", "s3://nobody/x", environment=swift.environment())
    assert told.returncode == 1
    assert "nothing was sent" in told.stderr
    assert "create it first" in told.stderr


def test_sources_that_cannot_be_used_do_not_harm_the_others(
    swift: Swift, original: Path, tmp_path: Path, hosting: Hosting
) -> None:
    """A manifest may name stores that this machine is not set up for."""
    regather.split(original, tmp_path / "h", fragments=2)
    server = hosting.serve(tmp_path / "h")
    path = tmp_path / "h" / "file.bin.regather.json"
    document = json.loads(path.read_text())
    document["sources"] = [
        {"url": url} for url in ("s3://bucket/x/", "az://container/x/", "s3://buck%et/", server.url)
    ]
    path.write_text(json.dumps(document))
    code = "import sys; sys.modules['obstore'] = None; import regather.cli as c; sys.exit(c.main())"
    told = command(
        *("get", f"{server.url}file.bin.regather.json", "-o", tmp_path / "out", "-q"),
        environment={**swift.environment(), "AWS_PROFILE": "none"},
        program=[sys.executable, "-c", code],
    )
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "out").read_bytes() == original.read_bytes()
