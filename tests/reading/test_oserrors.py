"""What reading raises is an error of ours and an OSError with the errno that fits."""

from __future__ import annotations

import errno
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import regather
from regather.errors import NotEnoughSourcesError, RegatherError
from regather.reading.oserrors import also_os_error, errno_of_sources
from regather.transport import Failure
from tests.reading.support import QUICK, SIZE, Made, split_for_reading
from tests.support.hosting import Hosting
from tests.support.net import free_port
from tests.support.rogue import Rogue, sends


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return split_for_reading(tmp_path_factory.mktemp("errors"), fragments=2, servers=1)


@pytest.fixture(scope="module")
def hosting() -> Iterator[Hosting]:
    with Hosting() as running:
        yield running


def answer(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("status", "kind", "number"),
    [
        ("404 Not Found", FileNotFoundError, errno.ENOENT),
        ("410 Gone", FileNotFoundError, errno.ENOENT),
        ("403 Forbidden", PermissionError, errno.EACCES),
        ("401 Unauthorized", PermissionError, errno.EACCES),
        ("500 Oh", OSError, errno.EIO),
    ],
)
def test_a_manifest_that_is_not_to_be_had(status: str, kind: type[OSError], number: int) -> None:
    with Rogue(sends(answer(status))) as rogue, pytest.raises(regather.TransportError) as caught:
        regather.open(f"{rogue.url}a.regather.json", settings=QUICK)
    error: BaseException = caught.value
    assert isinstance(error, kind)
    assert error.errno == number
    assert status[:3] in str(caught.value)


def test_other_reasons(made: Made, tmp_path: Path) -> None:
    broken = tmp_path / "broken.regather.json"
    broken.write_text("{}")
    for source, ours, theirs, number in (
        (tmp_path / "no", regather.UsageError, FileNotFoundError, errno.ENOENT),
        (tmp_path, regather.UsageError, IsADirectoryError, errno.EISDIR),
        (broken / "x", regather.UsageError, NotADirectoryError, errno.ENOTDIR),
        (broken, regather.ManifestError, OSError, errno.EIO),
        (f"http://127.0.0.1:{free_port()}/", regather.TransportError, OSError, errno.EHOSTUNREACH),
        ("gopher://h/x", regather.UsageError, OSError, errno.EINVAL),
    ):
        with pytest.raises(theirs) as caught:
            regather.open(source, settings=regather.Settings(retries=0))
        assert ours in type(caught.value).__mro__
        assert caught.value.errno == number
    with pytest.raises(OSError) as wrong:
        regather.open(made.manifest, digest="0" * 64)
    assert regather.VerificationError in type(wrong.value).__mro__


@pytest.mark.parametrize(
    ("fault", "ours", "number"),
    [
        ("corrupt", regather.VerificationError, errno.EIO),
        ("error:404", regather.NotEnoughSourcesError, errno.EIO),
        ("error:403", regather.NotEnoughSourcesError, errno.EACCES),
        ("stall", regather.NotEnoughSourcesError, errno.ETIMEDOUT),
        ("error:500", regather.NotEnoughSourcesError, errno.EIO),
    ],
)
def test_a_read_that_fails(
    made: Made, hosting: Hosting, fault: str, ours: type[RegatherError], number: int
) -> None:
    """A fragment that is away is never a FileNotFoundError: zarr would take it for zeros."""
    url = hosting.serve(made.servers[0], faults=[fault]).url
    settings = regather.Settings(timeout=0.5, retries=0)
    with regather.open(made.manifest, servers=[url], settings=settings) as file:
        with pytest.raises(OSError) as caught:
            file.read(SIZE)
        assert ours in type(caught.value).__mro__
        assert caught.value.errno == number
        assert FileNotFoundError not in type(caught.value).__mro__
        with pytest.raises(OSError):
            file.readinto(bytearray(SIZE))


def test_zipfile_says_that_it_is_none(tmp_path: Path) -> None:
    """It seeks before the beginning, and expects an OSError."""
    (tmp_path / "short").write_bytes(b"x")
    regather.split(tmp_path / "short", tmp_path / "out")
    with regather.open(tmp_path / "out" / "short.regather.json") as file:
        assert not zipfile.is_zipfile(file)
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(file)


def test_they_pickle() -> None:
    for error in (
        NotEnoughSourcesError("what", help="do it", details=("a",), missing=("b",)),
        regather.VerificationError("what"),
    ):
        both = also_os_error(error, errno.ETIMEDOUT)
        assert isinstance(both, TimeoutError)
        again = pickle.loads(pickle.dumps(both))
        assert type(again) is type(both)
        assert again.as_dict() == both.as_dict() == error.as_dict()
        assert (again.errno, str(again)) == (errno.ETIMEDOUT, str(error))
        assert type(both).__name__ == type(error).__name__


def test_errno_of_several_sources() -> None:
    assert errno_of_sources({Failure.TIMEOUT}) == errno.ETIMEDOUT
    assert errno_of_sources({Failure.TIMEOUT, Failure.FORBIDDEN}) == errno.EIO
    assert errno_of_sources({Failure.MISSING}) == errno.EIO
    assert errno_of_sources({None}) == errno_of_sources(set()) == errno.EIO
