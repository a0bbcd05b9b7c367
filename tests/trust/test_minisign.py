"""Keys and signatures beside Debian's minisign: each reads what the other writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from regather.errors import UsageError
from regather.trust.comment import TrustedComment, parse_comment
from regather.trust.public_key import PublicKey, is_public_key, public_key
from regather.trust.secret_key import SecretKey
from regather.trust.signature import SignatureFlaw, parse_signature
from tests.support.minisign import minisign, needs_minisign

PASSWORD = "correct horse"
DATA = b"the bytes of a manifest\n"
COMMENT = "timestamp:1767225600\tfile:a.regather.json\thashed\tdigest:" + "a1" * 32 + "\tversion:7"


def nobody() -> str:
    raise AssertionError("no password is needed")


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    path = tmp_path / "a.regather.json"
    path.write_bytes(DATA)
    return path


def files_of(key: SecretKey, folder: Path, password: str) -> tuple[Path, Path]:
    public, secret = folder / "k.pub", folder / "k.key"
    public.write_text(key.public.text)
    secret.write_text(key.text(password))
    return public, secret


@needs_minisign
@pytest.mark.parametrize("password", ["", PASSWORD], ids=["no password", "password"])
def test_minisign_verifies_what_we_sign(signed: Path, tmp_path: Path, password: str) -> None:
    key = SecretKey.new()
    public, secret = files_of(key, tmp_path, password)
    again = SecretKey.read(secret, password or nobody)
    assert again == key
    signature = Path(f"{signed}.minisig")
    signature.write_text(again.sign(DATA, COMMENT).text)
    for how in (["-p", public], ["-P", key.public.line]):
        done = minisign("-V", "-m", signed, *how)
        assert (done.returncode, done.stderr) == (0, "")
        assert COMMENT in done.stdout
    signed.write_bytes(DATA + b" ")
    assert minisign("-V", "-m", signed, "-p", public).returncode != 0


@needs_minisign
@pytest.mark.parametrize("password", ["", PASSWORD], ids=["no password", "password"])
def test_minisign_signs_with_our_keys(signed: Path, tmp_path: Path, password: str) -> None:
    key = SecretKey.new()
    _, secret = files_of(key, tmp_path, password)
    done = minisign("-S", "-s", secret, "-m", signed, told=f"{password}\n")
    assert done.returncode == 0, done.stderr
    signature = parse_signature(Path(f"{signed}.minisig").read_bytes())
    signature.check(DATA, key.public)
    assert (signature.key_name, parse_comment(signature.comment).file) == (
        key.public.name,
        signed.name,
    )


@pytest.fixture(scope="module", params=["", PASSWORD], ids=["no password", "password"])
def theirs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, str]:
    """A key that minisign made: its files and its password. To open one takes seconds."""
    folder = tmp_path_factory.mktemp("keys")
    public, secret, password = folder / "m.pub", folder / "m.key", request.param
    how = [] if password else ["-W"]
    done = minisign("-G", *how, "-p", public, "-s", secret, told=f"{password}\n{password}\n")
    assert done.returncode == 0, done.stderr
    return public, secret, password


@needs_minisign
def test_we_verify_what_minisign_signs(signed: Path, theirs: tuple[Path, Path, str]) -> None:
    public, secret, password = theirs
    key = public_key(str(public))
    assert (public_key(key.line), public.read_text()) == (key, key.text)
    for form in ("-H", "-l")[: 1 if password else 2]:
        done = minisign("-S", "-s", secret, "-m", signed, form, "-t", COMMENT, told=f"{password}\n")
        assert done.returncode == 0, done.stderr
        signature = parse_signature(Path(f"{signed}.minisig").read_bytes())
        assert signature.algorithm == (b"Ed" if form == "-l" else b"ED")
        signature.check(DATA, key)
        assert parse_comment(signature.comment).version == 7
        with pytest.raises(SignatureFlaw, match="does not match"):
            signature.check(DATA + b" ", key)


@needs_minisign
def test_we_sign_with_keys_of_minisign(signed: Path, theirs: tuple[Path, Path, str]) -> None:
    public, secret, password = theirs
    ours = SecretKey.read(secret, password or nobody)
    assert ours.public == public_key(str(public))
    Path(f"{signed}.minisig").write_text(ours.sign(DATA, COMMENT).text)
    assert minisign("-V", "-m", signed, "-p", public).returncode == 0


def test_a_wrong_password(tmp_path: Path) -> None:
    _, secret = files_of(SecretKey.new(), tmp_path, PASSWORD)
    with pytest.raises(UsageError, match="the password is wrong"):
        SecretKey.read(secret, "wrong")


def test_the_comment_is_signed_too() -> None:
    key = SecretKey.new()
    text = key.sign(DATA, COMMENT).text
    parse_signature(text.encode()).check(DATA, key.public)
    with pytest.raises(SignatureFlaw, match="comment of its signature was changed"):
        parse_signature(text.replace("version:7", "version:8").encode()).check(DATA, key.public)


def test_another_key_of_the_same_id() -> None:
    key = SecretKey.new()
    signature = key.sign(DATA, COMMENT)
    with pytest.raises(SignatureFlaw, match="does not match"):
        signature.check(DATA, PublicKey(key.id, SecretKey.new().public.key))


GOOD = SecretKey.new().sign(DATA, COMMENT).text


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", "not in the format"),
        (b"\xff\xfe", "not text"),
        (GOOD.replace("\n", "\n\n", 1).encode(), "not in the format"),
        ((GOOD + "one more line\n").encode(), "not in the format"),
        (GOOD.replace("trusted comment", "Trusted comment").encode(), "not in the format"),
        (GOOD.replace("\ntrusted comment", "\ncomment").encode(), "no trusted comment"),
        (GOOD.replace("timestamp", "\x1b[2Jtimestamp").encode(), "control characters"),
        ((GOOD.splitlines()[0] + "\n!!!!\n" + GOOD.split("\n", 2)[2]).encode(), "not base64"),
        (GOOD.replace("\nRU", "\nRV").encode(), "unknown kind"),
        (GOOD.replace("==\n", "\n").encode(), "not base64"),
        (GOOD.encode() + b" " * (16 << 10), "larger than 16 KiB"),
    ],
)
def test_what_is_no_signature(data: bytes, flaw: str) -> None:
    with pytest.raises(SignatureFlaw, match=flaw):
        parse_signature(data)


def test_line_ends_of_windows() -> None:
    assert parse_signature(GOOD.replace("\n", "\r\n").encode()) == parse_signature(GOOD.encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "timestamp:1\thashed",
        "file:a\ttimestamp:-1",
        "file:a\ttimestamp:1\tversion:01",
        "file:a\ttimestamp:1\tversion:99999999999999999",
        f"file:a\ttimestamp:1\tversion:{2**53}",
        "file:a\ttimestamp:1\tdigest:abc",
        "file:a\tfile:b\ttimestamp:1",
    ],
)
def test_what_is_no_comment(text: str) -> None:
    with pytest.raises(SignatureFlaw):
        parse_comment(text)


def test_comments() -> None:
    comment = TrustedComment("a b.regather.json", 5, 9, "ab" * 32)
    assert parse_comment(comment.text) == comment
    # As minisign itself writes them; the time is the version.
    assert parse_comment("timestamp:12\tfile:x\thashed") == TrustedComment("x", 12, 12)
    assert TrustedComment("x", 12, 12).when == "1970-01-01T00:00:12Z"
    assert TrustedComment("x", 2**60, 12).when == f"{2**60} s after 1970"


LINE = SecretKey.new().public.line


@pytest.mark.parametrize(
    "given",
    [
        "",
        "RWQ",
        "untrusted comment: x\nRWQ\n",
        "a\nb\nc\n",
        f"{LINE}\n{LINE}\n",
        LINE + " " * 5000,
    ],
    ids=["empty", "short", "short with a comment", "lines", "two keys", "large"],
)
def test_what_is_no_public_key(tmp_path: Path, given: str) -> None:
    path = tmp_path / "k.pub"
    path.write_text(given)
    with pytest.raises(UsageError, match="not a public key"):
        public_key(str(path))
    assert not is_public_key(given)
    with pytest.raises(UsageError, match="no such file"):
        public_key(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("cut", "not a secret key"),
        ("kind", "not a secret key"),
        ("costs", "asks for .* MiB"),
        ("damaged", "is damaged"),
        ("public", "is damaged"),
        ("empty", "not a secret key"),
    ],
)
def test_what_is_no_secret_key(tmp_path: Path, change: str, says: str) -> None:
    from base64 import b64decode, b64encode

    _, secret = files_of(SecretKey.new(), tmp_path, "")
    first, line = secret.read_text().splitlines()
    raw = bytearray(b64decode(line))
    if change == "cut":
        del raw[-1]
    elif change == "kind":
        raw[2:4] = b"Xx"
    elif change == "costs":  # which nobody has the memory for
        raw[2:4], raw[38:54] = b"Sc", b"\xff" * 7 + b"\0" + b"\xff" * 7 + b"\0"
    elif change == "damaged":
        raw[-1] ^= 1
    elif change == "public":  # without a checksum, as minisign writes it without a password
        raw[54 + 8 + 32] ^= 1
        raw[-32:] = bytes(32)
    secret.write_text(first + "\n" + b64encode(raw).decode() * (change != "empty"))
    with pytest.raises(UsageError, match=says):
        SecretKey.read(secret, "x")
