"""Step 4: download all fragments at once, verify every piece, and recombine the file."""

import argparse

import regather

servers = [f"127.0.0.1:900{n}/file_fragment_{n}.dat" for n in (1, 2, 3)]
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("fragments", nargs="*", default=servers, metavar="IP:PORT/FRAGMENT")
parser.add_argument("--manifest", dest="source", default="large_file.txt.regather.json")
parser.add_argument("--output-file", dest="dest", default="recombined_large_file.dat")
settings = regather.Settings(retries=10, no_proxy="*")
try:
    report = regather.download(**vars(parser.parse_args()), force=True, settings=settings)
except regather.RegatherError as error:
    raise SystemExit(str(error)) from None
for source in report.sources:
    print(f"{source.url}: {source.useful} bytes used, {source.errors} errors")
print(f"{report.path}: {report.size} bytes, all verified")
