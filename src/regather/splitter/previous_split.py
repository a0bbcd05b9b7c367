"""What an earlier split left in the folders of a new one: what goes, and what is in the way.

Ours is what ``split`` may have written: fragments and the manifest of that name in the folders
that the new split uses, and manifests there that describe the fragments which are replaced. In
``serverN`` folders that it does not use, only what a manifest beside it names: those would else be
taken for copies of the new fragments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from filecmp import cmp
from pathlib import Path

from regather.errors import DestinationExistsError, ManifestError, UsageError
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.names import MANIFEST_SUFFIX, signature_path

FRAGMENT_NAME = re.compile(
    r"file_fragment_[1-9][0-9]*\.dat|file_parity_[1-9][0-9]*_[1-9][0-9]*\.dat"
)
_SERVER_NAME = re.compile(r"server[1-9][0-9]*")


class Earlier:
    """What is in the way in ``out`` and the folders of its servers."""

    def __init__(
        self,
        out: Path,
        folders: Sequence[Path],
        manifests: Sequence[Path],
        leftovers: Sequence[Path],
        *,
        force: bool,
    ) -> None:
        """``folders`` and ``manifests`` are what the new split writes to; the folders exist.

        ``leftovers`` are temporary files of killed splits. What one of them had given its name goes
        without ``force``, too.

        Raises DestinationExistsError where something is there, unless ``force``; UsageError where
        that does not help; OSError.
        """
        used = list(dict.fromkeys((out, *folders)))
        fragments = [path for folder in used for path in _fragments(folder)]
        unused = {
            folder: _fragments(folder)
            for folder in sorted(out.iterdir())
            if _SERVER_NAME.fullmatch(folder.name)
            and folder not in used
            and folder.is_dir()
            and not folder.is_symlink()
        }
        self.stale = [*fragments, *(path for path in manifests if path.exists())]
        """Files that go, if nothing new has their names; in this order."""
        found = [*self.stale, *(path for paths in unused.values() for path in paths)]
        if found and not force and not any(_named_by(path, found) for path in leftovers):
            raise DestinationExistsError(
                f"{out}: already contains fragments or a manifest, for example "
                f"{found[0].relative_to(out)}",
                help="choose another --out, or use --force to replace them",
            )
        others = [m for folder in used for m in _describing(folder, fragments)]
        self.stale += others
        told = dict.fromkeys((*manifests, *others))
        self.untrue = [*told, *map(signature_path, told)]
        """Manifests that the new fragments make untrue, and signatures. Some may not be there."""
        same = [path for path in told if path.is_file()]
        self.emptied: list[Path] = []
        """Folders of servers that are not used any more; other things may be in them."""
        for folder, paths in unused.items():
            describing = _describing(folder, paths)
            named = {name for names in describing.values() for name in names}
            if strange := next((path for path in paths if path.name not in named), None):
                raise UsageError(
                    f"{strange}: already exists, and does not belong to a manifest in this folder",
                    help=f"remove {folder} if it is not needed, or choose another --out",
                )
            copies = [c for m in same if (c := folder / m.name).is_file() and cmp(c, m, False)]
            # As long as fragments are there, so is what says whose they are.
            left = dict.fromkeys((*describing, *copies))
            if theirs := [*paths, *left, *filter(Path.exists, map(signature_path, left))]:
                self.stale += theirs
                self.emptied.append(folder)


def _named_by(leftover: Path, found: Sequence[Path]) -> bool:
    """Whether a killed split gave all of these their names, and had none for its manifest yet."""
    with leftover.open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    try:
        named = {(f.name, f.size) for f in Manifest.from_bytes(data).fragments}
    except ManifestError:
        return False
    return all(
        path.is_file() and ((path.name, path.stat().st_size) in named or cmp(path, leftover, False))
        for path in found
    )


def _fragments(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if FRAGMENT_NAME.fullmatch(path.name)]


def _describing(folder: Path, fragments: Sequence[Path]) -> dict[Path, list[str]]:
    """The manifests in a folder that describe some of these files, with the names that they do."""
    sizes = {(path.name, path.stat().st_size) for path in fragments if path.is_file()}
    found = {}
    for path in sorted(folder.iterdir()) if sizes else ():
        if not path.name.endswith(MANIFEST_SUFFIX) or not path.is_file():
            continue
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
        try:
            described = {(f.name, f.size) for f in Manifest.from_bytes(data).fragments}
        except ManifestError:
            continue
        if described & sizes:
            found[path] = [name for name, _ in described & sizes]
    return found
