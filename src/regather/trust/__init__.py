"""Who made a manifest: signatures in the format of minisign, and which keys are trusted for what.

crypto       the library for Ed25519 and scrypt, imported when it is first needed
public_key   what readers trust
signature    the file NAME.regather.json.minisig
secret_key   what publishers sign with
comment      what the signature says beside the bytes: name, digest, version, time
accepted     which versions this user has accepted: no way back
rules        which keys are trusted for which manifest
"""
