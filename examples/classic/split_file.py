"""Step 2: split the file into fragments; the client gets the manifest with their hashes."""

import argparse
import shutil

import regather


def split_file(file_path: str, chunk_size: int | None) -> None:
    made = regather.split(file_path, "fragments", chunk_size=chunk_size, force=True)
    shutil.copy(f"fragments/{made.name}.regather.json", ".")


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file_path", nargs="?", default="large_file.txt")
parser.add_argument("chunk_size", nargs="?", type=int, help="bytes (default: a third of the file)")
try:
    split_file(**vars(parser.parse_args()))
except regather.RegatherError as error:
    raise SystemExit(str(error)) from None
