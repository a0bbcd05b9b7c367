"""What the codes mean that stores answer with, and what helps."""

from __future__ import annotations

from regather.transport.base import Failure

__all__ = ["advice_of", "failure_by_code"]

_CLOCK = "the clock of this machine differs from the clock of the store: correct it"
_EXPIRED = "the credentials have expired: get new ones"
_REGION = "the bucket is in another region: set it with --store-option region=NAME"
_ACCOUNT = "the account cannot be used: ask its provider"
_SLOWER = "too many requests to the store: use fewer --connections"
_REQUIRED = "check the credentials: the store requires valid ones"
_NO_ACCESS = "check the credentials: they, or the policy of the bucket, do not permit this"
_ROLE = "the identity lacks the right to do this: give it a role like Storage Blob Data Contributor"
_FIREWALL = (
    "check the credentials; if they are right, the firewall of the store blocks this network"
)

_FORBIDDEN = {
    # S3, those who speak like it, and Google's XML.
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": (
        "the session token is not valid: get new credentials, or unset AWS_SESSION_TOKEN"
    ),
    "InvalidClientTokenId": "unknown access key",
    "InvalidAccessKeyId": (
        "check the credentials: unknown access key (AWS_ACCESS_KEY_ID or the profile); does it "
        "belong to this endpoint?"
    ),
    "SignatureDoesNotMatch": (
        "check the credentials: the secret does not match the access key (AWS_SECRET_ACCESS_KEY "
        "or the profile)"
    ),
    "AccessDenied": _NO_ACCESS,
    "AccessForbidden": _NO_ACCESS,
    "AllAccessDisabled": _NO_ACCESS,
    "AuthenticationRequired": _REQUIRED,
    "InvalidSecurity": "check the credentials: they are not valid",
    "AccountProblem": _ACCOUNT,
    "NotSignedUp": _ACCOUNT,
    "UserSuspended": _ACCOUNT,
    "UserProjectAccountProblem": _ACCOUNT,
    "UserProjectMissing": "the reader of this bucket pays: give a project",
    "InvalidObjectState": "the object is archived: restore it first",
    "NoSuchBucket": "the bucket does not exist: create it first, or check its name",
    "InvalidBucketName": "invalid bucket name",
    "AuthorizationHeaderMalformed": _REGION,
    "AuthorizationQueryParametersError": _REGION,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "IncorrectEndpoint": _REGION,
    # Azure.
    "AuthenticationFailed": (
        "check the credentials (AZURE_STORAGE_ACCOUNT_KEY or the token), and the clock of this "
        "machine"
    ),
    "InvalidAuthenticationInfo": "the token is not valid, or has expired: get a new one",
    "NoAuthenticationInformation": _REQUIRED,
    "AuthorizationFailure": _FIREWALL,
    "AuthorizationSourceIPMismatch": _FIREWALL,
    "AuthorizationProtocolMismatch": "the token is valid only with https",
    "AuthorizationPermissionMismatch": _ROLE,
    "AuthorizationResourceTypeMismatch": _ROLE,
    "AuthorizationServiceMismatch": _ROLE,
    "InsufficientAccountPermissions": _ROLE,
    "KeyBasedAuthenticationNotPermitted": (
        "the account does not accept account keys: use an identity (AZURE_CLIENT_ID, managed "
        "identity)"
    ),
    "PublicAccessNotPermitted": _REQUIRED,
    "AccountIsDisabled": _ACCOUNT,
    "ContainerDisabled": _ACCOUNT,
    "ContainerNotFound": "the container does not exist: create it first, or check its name",
    "InvalidResourceName": "invalid name of a container or an object",
    "BlobArchived": "the object is archived: restore it first",
}
_MEANINGS: dict[str, tuple[Failure, str]] = {
    **{code: (Failure.FORBIDDEN, help) for code, help in _FORBIDDEN.items()},
    "SlowDown": (Failure.BUSY, _SLOWER),
    "RequestLimitExceeded": (Failure.BUSY, _SLOWER),
    "ThrottlingException": (Failure.BUSY, _SLOWER),
    "TooManyRequests": (Failure.BUSY, _SLOWER),
    "ServiceUnavailable": (Failure.BUSY, ""),
    "ConditionalRequestConflict": (Failure.BUSY, ""),
    "OperationAborted": (Failure.BUSY, ""),
    "RequestTimeout": (Failure.TIMEOUT, ""),
    "EntityTooLarge": (Failure.TOO_LARGE, "the object is too large for the store"),
    "QuotaExceeded": (Failure.NO_SPACE, "the quota is used up"),
    "XMinioStorageFull": (Failure.NO_SPACE, ""),
    # A cluster that is short of a node, or that aborts old uploads: the whole upload is repeated.
    "NoSuchUpload": (Failure.SERVER_ERROR, "the store has lost the parts of an upload"),
    "InvalidPart": (Failure.SERVER_ERROR, "the store has lost a part of an upload"),
    "BadDigest": (Failure.DAMAGED, ""),
    "XAmzContentSHA256Mismatch": (Failure.DAMAGED, ""),
    "Md5Mismatch": (Failure.DAMAGED, ""),
    "ContainerBeingDeleted": (Failure.BUSY, ""),
    "ServerBusy": (Failure.BUSY, _SLOWER),
    "OperationTimedOut": (Failure.TIMEOUT, ""),
}
_SKEWED = ("date header too old", "header is too old", "Request date")
_OVER = ("Signature not valid in the specified time frame", "Lifetime validation failed")


def failure_by_code(code: str) -> Failure | None:
    """What kind of failure a code tells; None where it does not say more than the status."""
    return _MEANINGS[code][0] if code in _MEANINGS else None


def advice_of(code: str, text: str) -> str:
    """What a code means in words, and what helps; empty where there is nothing to say.

    ``text`` is what was answered: Azure has one code for many reasons.
    """
    if code == "AuthenticationFailed":
        if any(sign in text for sign in _SKEWED):
            return _CLOCK
        if any(sign in text for sign in _OVER):
            return _EXPIRED
    return _MEANINGS[code][1] if code in _MEANINGS else ""
