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

_MEANINGS: dict[str, tuple[Failure, str]] = {
    # S3, those who speak like it, and Google's XML.
    "RequestTimeTooSkewed": (Failure.FORBIDDEN, _CLOCK),
    "RequestExpired": (Failure.FORBIDDEN, _CLOCK),
    "ExpiredToken": (Failure.FORBIDDEN, _EXPIRED),
    "ExpiredTokenException": (Failure.FORBIDDEN, _EXPIRED),
    "TokenRefreshRequired": (Failure.FORBIDDEN, _EXPIRED),
    "InvalidToken": (
        Failure.FORBIDDEN,
        "the session token is not valid: get new credentials, or unset AWS_SESSION_TOKEN",
    ),
    "InvalidClientTokenId": (Failure.FORBIDDEN, "unknown access key"),
    "InvalidAccessKeyId": (
        Failure.FORBIDDEN,
        "check the credentials: unknown access key (AWS_ACCESS_KEY_ID or the profile); does it "
        "belong to this endpoint?",
    ),
    "SignatureDoesNotMatch": (
        Failure.FORBIDDEN,
        "check the credentials: the secret does not match the access key (AWS_SECRET_ACCESS_KEY "
        "or the profile)",
    ),
    "AccessDenied": (Failure.FORBIDDEN, _NO_ACCESS),
    "AccessForbidden": (Failure.FORBIDDEN, _NO_ACCESS),
    "AllAccessDisabled": (Failure.FORBIDDEN, _NO_ACCESS),
    "AuthenticationRequired": (Failure.FORBIDDEN, _REQUIRED),
    "InvalidSecurity": (Failure.FORBIDDEN, "check the credentials: they are not valid"),
    "AccountProblem": (Failure.FORBIDDEN, _ACCOUNT),
    "NotSignedUp": (Failure.FORBIDDEN, _ACCOUNT),
    "UserSuspended": (Failure.FORBIDDEN, _ACCOUNT),
    "UserProjectAccountProblem": (Failure.FORBIDDEN, _ACCOUNT),
    "UserProjectMissing": (Failure.FORBIDDEN, "the reader of this bucket pays: give a project"),
    "InvalidObjectState": (Failure.FORBIDDEN, "the object is archived: restore it first"),
    "NoSuchBucket": (
        Failure.FORBIDDEN,
        "the bucket does not exist: create it first, or check its name",
    ),
    "InvalidBucketName": (Failure.FORBIDDEN, "invalid bucket name"),
    "AuthorizationHeaderMalformed": (Failure.FORBIDDEN, _REGION),
    "AuthorizationQueryParametersError": (Failure.FORBIDDEN, _REGION),
    "PermanentRedirect": (Failure.FORBIDDEN, _REGION),
    "TemporaryRedirect": (Failure.FORBIDDEN, _REGION),
    "IllegalLocationConstraintException": (Failure.FORBIDDEN, _REGION),
    "IncorrectEndpoint": (Failure.FORBIDDEN, _REGION),
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
    "BadDigest": (Failure.DAMAGED, ""),
    "XAmzContentSHA256Mismatch": (Failure.DAMAGED, ""),
    # Azure.
    "AuthenticationFailed": (
        Failure.FORBIDDEN,
        "check the credentials (AZURE_STORAGE_ACCOUNT_KEY or the token), and the clock of this "
        "machine",
    ),
    "InvalidAuthenticationInfo": (
        Failure.FORBIDDEN,
        "the token is not valid, or has expired: get a new one",
    ),
    "NoAuthenticationInformation": (Failure.FORBIDDEN, _REQUIRED),
    "AuthorizationFailure": (Failure.FORBIDDEN, _FIREWALL),
    "AuthorizationSourceIPMismatch": (Failure.FORBIDDEN, _FIREWALL),
    "AuthorizationProtocolMismatch": (Failure.FORBIDDEN, "the token is valid only with https"),
    "AuthorizationPermissionMismatch": (Failure.FORBIDDEN, _ROLE),
    "AuthorizationResourceTypeMismatch": (Failure.FORBIDDEN, _ROLE),
    "AuthorizationServiceMismatch": (Failure.FORBIDDEN, _ROLE),
    "InsufficientAccountPermissions": (Failure.FORBIDDEN, _ROLE),
    "KeyBasedAuthenticationNotPermitted": (
        Failure.FORBIDDEN,
        "the account does not accept account keys: use an identity (AZURE_CLIENT_ID, managed "
        "identity)",
    ),
    "PublicAccessNotPermitted": (Failure.FORBIDDEN, _REQUIRED),
    "AccountIsDisabled": (Failure.FORBIDDEN, _ACCOUNT),
    "ContainerDisabled": (Failure.FORBIDDEN, _ACCOUNT),
    "ContainerNotFound": (
        Failure.FORBIDDEN,
        "the container does not exist: create it first, or check its name",
    ),
    "InvalidResourceName": (Failure.FORBIDDEN, "invalid name of a container or an object"),
    "BlobArchived": (Failure.FORBIDDEN, "the object is archived: restore it first"),
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
