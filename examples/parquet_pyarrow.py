"""One column chunk of a hosted Parquet file with pyarrow, and then the rows that a filter leaves.

python examples/parquet_pyarrow.py MANIFEST COLUMN [SERVER...]
"""

import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq

import regather

manifest, column, *servers = sys.argv[1:]

with regather.open(manifest, servers=servers) as file:
    parquet = pq.ParquetFile(file)
    print(f"{parquet.metadata.num_rows} rows in {parquet.num_row_groups} row groups")
    last = parquet.read_row_group(parquet.num_row_groups - 1, columns=[column])
    print(f"sum of {column} in the last one: {pc.sum(last[column])}")
    print(f"received {file.received} of {file.size} bytes")
    found = parquet.read(columns=[column]).filter(pc.field(column) >= 0)
    print(f"{found.num_rows} rows with {column} >= 0")
