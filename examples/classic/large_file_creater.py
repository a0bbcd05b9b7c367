"""Step 1: write a large file of English text."""

import argparse

import regather


def generate_large_file(file_path: str, size_in_mb: int) -> None:
    regather.generate(file_path, size_in_mb * 1_000_000, force=True)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("file_path", nargs="?", default="large_file.txt")
parser.add_argument("size_in_mb", nargs="?", default=100, type=int)
try:
    generate_large_file(**vars(parser.parse_args()))
except regather.RegatherError as error:
    raise SystemExit(str(error)) from None
