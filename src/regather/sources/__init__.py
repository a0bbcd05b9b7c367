"""What the user names, made layouts and sources; no bytes of the file are fetched for it."""
