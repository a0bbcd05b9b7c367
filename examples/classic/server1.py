"""Step 3: serve fragment 1 over HTTP until Ctrl-C."""

import argparse

import regather


def start_server(fragment_file: str, port: int, fail_at_random: int | None) -> None:
    faults = ["error:503@0.2", "reset@0.2", "corrupt@0.1"] if fail_at_random is not None else []
    regather.serve(fragment_file, port=port, faults=faults, fault_seed=fail_at_random)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("fragment_file", nargs="?", default="fragments/file_fragment_1.dat")
parser.add_argument("port", nargs="?", default=9001, type=int)
parser.add_argument("--fail-at-random", metavar="SEED", nargs="?", const=1, type=int)
try:
    start_server(**vars(parser.parse_args()))
except regather.RegatherError as error:
    raise SystemExit(str(error)) from None
