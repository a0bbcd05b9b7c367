"""Who made a manifest: signatures in the format of minisign, and which keys are trusted for what.

crypto       the library for Ed25519 and scrypt, imported when it is first needed
public_key   what readers trust
signature    the file NAME.regather.json.minisig
secret_key   what publishers sign with
comment      what the signature says beside the bytes: name, digest, version, time
accepted     which versions this user has accepted: no way back

Which keys are trusted for which manifest: ``regather.sources.signed``.
"""

from __future__ import annotations

MAX_SIGNATURE_BYTES = 16 << 10
"""No signature may be larger: minisign's own limits are 1 KiB and 8 KiB for the comments."""
UNTRUSTED = "untrusted comment: "
"""What every file of minisign begins with."""
