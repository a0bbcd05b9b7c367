"""The manifest: bytes to Manifest and back, with strict validation and no I/O.

document  the JSON, its shape and bounds
checks    what must fit together
values    Manifest

``docs/format.md`` describes version 1. A manifest is untrusted input: every number is bounded,
every name is a plain file name, and nothing is allocated that is not already as large as the
manifest itself. Unknown keys are ignored, an unknown version is refused.
"""

from __future__ import annotations

from regather.manifest.checks import CODE
from regather.manifest.document import MAX_MANIFEST_BYTES
from regather.manifest.values import Manifest

__all__ = ["CODE", "MAX_MANIFEST_BYTES", "Manifest"]
