"""What is known of servers whose folders are on this machine."""

from __future__ import annotations

from pathlib import Path

from regather.page.polled import PolledServers
from tests.support.small import PIECE, small


def test_fragments_count_in_their_right_size(tmp_path: Path) -> None:
    part = small([4 * PIECE, 2 * PIECE], parity=1)
    part.write(tmp_path, {"1": [1, 2], "2": [3]})
    (tmp_path / "1" / part.names[1]).write_bytes(b"cut short")
    folders = [(f"http://{name}.example/", str(tmp_path / name)) for name in "123"]
    (file,) = PolledServers(folders, part.manifest).sample().files
    assert file.holdings == [frozenset({0}), frozenset({2}), frozenset()]
