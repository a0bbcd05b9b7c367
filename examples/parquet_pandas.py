"""Some columns of a hosted Parquet file as a pandas table; the others are not fetched.

python examples/parquet_pandas.py MANIFEST COLUMN[,COLUMN...] [SERVER...]
"""

import sys

import pandas as pd

import regather

manifest, columns, *servers = sys.argv[1:]

with regather.open(manifest, servers=servers) as file:
    table = pd.read_parquet(file, columns=columns.split(","))
    print(table.describe())
    print(f"received {file.received} of {file.size} bytes")

# The same by URL; pandas finds regather:// by itself, through fsspec.
again = pd.read_parquet(
    f"regather://{manifest}", columns=columns.split(","), storage_options={"servers": servers}
)
assert again.equals(table)
