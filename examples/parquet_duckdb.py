"""SQL over a hosted Parquet file: duckdb fetches the columns that the query needs.

python examples/parquet_duckdb.py MANIFEST COLUMN [SERVER...]
"""

import sys

import duckdb
import fsspec

manifest, column, *servers = sys.argv[1:]

duckdb.register_filesystem(fsspec.filesystem("regather", servers=servers))
rows = duckdb.execute(
    f'select count(*), sum("{column}") from read_parquet(?)', [f"regather://{manifest}"]
).fetchall()
print(f"count and sum of {column}: {rows[0][0]} {rows[0][1]}")
