"""A file's whole life in the stores of Google and Azure; that in Swift is in test_stores."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import obstore
import pytest

import regather
from regather.downloader import Settings
from tests.support.files import MIB, random_file
from tests.support.files import regather as command
from tests.support.gcs import Gcs
from tests.support.google_accounts import Account
from tests.support.stores import ObjectStorage

SIZE = 6 * MIB + 5
LARGE = 17 * MIB + 3
"""More than goes in one request."""


@pytest.fixture(params=["gcs", "azurite"])
def storage(request: pytest.FixtureRequest) -> ObjectStorage:
    made: ObjectStorage = request.getfixturevalue(request.param)
    return made


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_file(tmp_path_factory.mktemp("original") / "file.bin", SIZE)


def test_published_fetched_checked_repaired(
    storage: ObjectStorage, original: Path, tmp_path: Path
) -> None:
    """Credentials and endpoint of the environment, as the store's own tools have them."""
    environment = storage.environment(tmp_path)
    bucket = storage.bucket()
    places = [f"{storage.scheme}://{bucket}/place {n}" for n in range(3)]
    to = [word for place in places for word in ("--to", place)]
    told = command("publish", original, *to, "--parity", "1", environment=environment)
    assert told.returncode == 0, told.stderr
    words = shlex.split(told.stdout.strip().splitlines()[-1])
    assert words[:2] == ["regather", "get"]
    manifest = words[2]
    got = command(*words[1:], cwd=tmp_path, environment=environment)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "file.bin").read_bytes() == original.read_bytes()

    def check(*more: str) -> tuple[int, str]:
        told = command("check", manifest, "--json", *more, environment=environment)
        return told.returncode, json.loads(told.stdout)["status"]

    client = storage.client(bucket)
    assert check("--read-data") == (0, "healthy")
    obstore.delete(client, "place 0/file_fragment_1.dat")
    assert check() == (5, "degraded")
    mended = command("repair", manifest, environment=environment)
    assert mended.returncode == 0, mended.stderr
    assert check("--read-data") == (0, "healthy")
    damaged = bytearray(obstore.get(client, "place 1/file_fragment_2.dat").bytes())
    damaged[5] ^= 1
    obstore.put(client, "place 1/file_fragment_2.dat", bytes(damaged))
    assert check("--read-data") == (5, "degraded")


def test_in_parts(storage: ObjectStorage, tmp_path: Path) -> None:
    large = random_file(tmp_path / "large.bin", LARGE, seed=2)
    settings = Settings(store_options=storage.options)
    place = f"{storage.scheme}://{storage.bucket()}/"
    report = regather.publish(large, [place], fragments=1, settings=settings)
    got = regather.download(report.manifests[0], tmp_path / "got", settings=settings)
    assert got.verified
    assert Path(got.path).read_bytes() == large.read_bytes()
    plain = regather.download(f"{place}file_fragment_1.dat", tmp_path / "x", settings=settings)
    assert Path(plain.path).read_bytes() == large.read_bytes()


def said(code: int, *words: str | Path, environment: dict[str, str]) -> str:
    """What a command that fails says: no more than two lines, and no secret."""
    told = command(*words, environment=environment)
    assert told.returncode == code, told.stderr
    assert "Traceback" not in told.stderr
    assert "PRIVATE" not in told.stderr
    return told.stderr


def test_no_such_bucket(storage: ObjectStorage, original: Path, tmp_path: Path) -> None:
    where = f"{storage.scheme}://nobody-has-it/x"
    environment = storage.environment(tmp_path)
    publishing = said(1, "publish", original, "--to", where, environment=environment)
    assert "create it first" in publishing
    assert "nothing was sent" in publishing
    assert "nobody-has-it" in said(4, "get", where, "-o", tmp_path / "o", environment=environment)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"GOOGLE_APPLICATION_CREDENTIALS": "{}/none.json"}, 2, "none.json"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "{}/wrong.json"}, 2, "obstore rejects"),
        ({"GOOGLE_APPLICATION_CREDENTIALS": "{}/other.json"}, None, "check the credentials"),
        ({"GOOGLE_BASE_URL": "nonsense"}, 2, "GOOGLE_BASE_URL: not the address of a store"),
    ],
)
def test_google_set_up_wrong(
    gcs: Gcs, original: Path, tmp_path: Path, changes: dict[str, str], code: int | None, says: str
) -> None:
    (tmp_path / "wrong.json").write_text("{")
    (tmp_path / "other.json").write_text(Account("somebody@else.example").document)
    changes = {name: value.format(tmp_path) for name, value in changes.items()}
    environment = {**gcs.environment(tmp_path), **changes}
    where = f"gs://{gcs.bucket()}/x"
    assert says in said(code or 4, "get", where, "-o", tmp_path / "out", environment=environment)
    assert says in said(code or 1, "publish", original, "--to", where, environment=environment)


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"AZURE_STORAGE_ACCOUNT_KEY": "d3Jvbmc="}, None, "check the credentials"),
        ({"AZURE_STORAGE_ACCOUNT_KEY": "no base64!"}, 2, "obstore rejects"),
        ({"AZURE_STORAGE_ACCOUNT_NAME": ""}, 2, "no storage account given"),
        ({"AZURE_STORAGE_ENDPOINT": "nonsense"}, 2, "AZURE_STORAGE_ENDPOINT"),
    ],
)
def test_azure_set_up_wrong(
    azurite: ObjectStorage,
    original: Path,
    tmp_path: Path,
    changes: dict[str, str],
    code: int | None,
    says: str,
) -> None:
    environment = {**azurite.environment(tmp_path), **changes}
    where = f"az://{azurite.bucket()}/x"
    assert says in said(code or 4, "get", where, "-o", tmp_path / "out", environment=environment)
    assert says in said(code or 1, "publish", original, "--to", where, environment=environment)


def test_google_without_a_file_of_credentials(gcs: Gcs, original: Path, tmp_path: Path) -> None:
    """On a machine of Google's its metadata tell; what is public needs none at all."""
    environment = gcs.environment(tmp_path) | {
        "HOME": str(tmp_path),
        "GCE_METADATA_HOST": f"127.0.0.1:{gcs.port}",
    }
    del environment["GOOGLE_APPLICATION_CREDENTIALS"]
    name = gcs.bucket(public=True)
    where = f"gs://{name}/x"
    stored = command("publish", original, "--to", where, environment=environment)
    assert stored.returncode == 0, stored.stderr
    manifest = f"{where}/file.bin.regather.json"
    got = command("get", manifest, "-o", tmp_path / "a", environment=environment)
    assert got.returncode == 0, got.stderr
    environment |= {"GCE_METADATA_HOST": "127.0.0.1:1", "GCE_METADATA_IP": "127.0.0.1:1"}
    unsigned = ("--store-option", "skip_signature=true")
    got = command("get", manifest, "-o", tmp_path / "b", *unsigned, environment=environment)
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == original.read_bytes()
    for words, code in (
        (("get", manifest, "-o", tmp_path / "c"), 4),
        (("publish", original, "--to", f"gs://{name}/y"), 1),
        (("publish", original, "--to", f"gs://{name}/y", *unsigned), 1),
    ):
        assert "no credentials were found" in said(code, *words, environment=environment)
