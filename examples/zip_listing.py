"""What is in a hosted zip archive, and one file of it, without downloading the archive.

python examples/zip_listing.py MANIFEST MEMBER [SERVER...]
"""

import sys
import zipfile

import regather

manifest, member, *servers = sys.argv[1:]

with regather.open(manifest, servers=servers) as file, zipfile.ZipFile(file) as archive:
    for info in archive.infolist():
        print(f"{info.file_size:12} {info.filename}")
    print(f"listed for {file.received} of {file.size} bytes")
    print(archive.read(member)[:40])
    print(f"received {file.received} of {file.size} bytes")
