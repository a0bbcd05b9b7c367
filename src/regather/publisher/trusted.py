"""Manifests at the targets: whose word counts, and the signature of the new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regather.errors import VerificationError
from regather.manifest import Manifest
from regather.publisher.targets import PublishTarget
from regather.sources.addresses import Address, address_of
from regather.sources.settings import Settings, trust_rules

if TYPE_CHECKING:
    from regather.sources.signed import TrustRules
    from regather.trust.public_key import PublicKey
    from regather.trust.secret_key import SecretKey


class Trusted:
    """By whom manifests must be signed whose sources are taken over.

    With a key to sign with, what it did not sign itself is not taken over into what it signs.
    """

    def __init__(self, settings: Settings, key: SecretKey | None, *, force: bool) -> None:
        self._rules: TrustRules | None = trust_rules(settings)
        self.key = key
        self._force = force

    def check(self, target: PublishTarget, name: str) -> None:
        """Take nothing over from a manifest at a target without a signature that counts.

        Raises VerificationError where one is demanded, unless it is replaced by force.
        """
        if target.document is None:
            return
        address = address_of(target.locate(name))
        keys = self._rules.keys_for(address, target.document.name) if self._rules else ()
        own = (self.key.public,) if self.key is not None else ()
        if keys or own:
            try:
                self._check(target, target.document, address, (*keys, *own))
            except VerificationError:
                if keys and not self._force:
                    raise
                target.document = None

    def _check(
        self,
        target: PublishTarget,
        document: Manifest,
        address: Address,
        keys: tuple[PublicKey, ...],
    ) -> None:
        from regather.sources.signed import accept_signed, checked

        if not target.signature:
            raise VerificationError(
                f"{address}: no signature beside it",
                help="leave out this target, or use --force to replace its manifest",
            )
        signed = checked(address, target.raw, target.signature, keys)
        if self._rules is not None:
            accept_signed(address, document, signed, self._rules)

    def signature(self, data: bytes, manifest: Manifest, targets: Sequence[PublishTarget]) -> bytes:
        """The signature of the new manifest: one that is there already, or a new one, or none."""
        if self.key is None:
            return b""
        from regather.sources.signing import comment_on, is_by, signature_of

        for target in targets:
            if target.signature and is_by(target.signature, data, self.key):
                return target.signature
        return signature_of(data, comment_on(manifest), self.key)
