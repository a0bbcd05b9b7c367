"""Names, types and shapes of the tensors of a hosted model, and one tensor, without torch.

python examples/safetensors_header.py MANIFEST TENSOR [SERVER...]

The format: 8 bytes, the length of the header (little-endian); the header, JSON; the data.
"""

import json
import sys

import numpy as np

import regather

manifest, name, *servers = sys.argv[1:]
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}

with regather.open(manifest, servers=servers) as file:
    length = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(length))
    for key, tensor in header.items():
        if key != "__metadata__":
            print(key, tensor["dtype"], tensor["shape"])
    print(f"header for {file.received} of {file.size} bytes")
    start, stop = header[name]["data_offsets"]
    data = file.pread(stop - start, 8 + length + start)
    values = np.frombuffer(data, TYPES[header[name]["dtype"]]).reshape(header[name]["shape"])
    print(f"mean of {name}: {values.mean():.6f}")
    print(f"received {file.received} of {file.size} bytes")
