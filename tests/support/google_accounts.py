"""Service accounts of Google's, which sign their tokens themselves."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Account:
    """A service account with a key of its own."""

    def __init__(self, email: str) -> None:
        self.email = email
        self._key = rsa.generate_private_key(65537, 2048)

    @property
    def document(self) -> str:
        """What Google gives as the file of its key."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return json.dumps(
            {
                "type": "service_account",
                "client_email": self.email,
                "private_key_id": "1",
                "private_key": pem.decode(),
            }
        )

    def signed(self, token: str) -> bool:
        """Whether a token is of this account, signed with its key, for storage, and of now."""
        try:
            message, _, signature = token.rpartition(".")
            head, claims = (json.loads(_decoded(part)) for part in message.split("."))
            self._key.public_key().verify(
                _decoded(signature), message.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (ValueError, InvalidSignature):
            return False
        return bool(
            head["alg"] == "RS256"
            and claims["iss"] == self.email
            and "cloud-platform" in claims["scope"]
            and claims["iat"] - 60 <= time.time() < claims["exp"] <= claims["iat"] + 3600
        )


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
