"""One call of RDS, and what its failures mean. boto3 finds credentials and address; its types do not leave here.

No call is repeated by botocore: the one retry rule is ours, and each acting task looks first.
"""

import threading
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from recovery.errors import Refused, Unavailable
from recovery.rds_catalog import Rds
from tasks import waiting
from tasks.settings import read_settings

T = TypeVar("T")
POLL_SECONDS = 10.0
DOCUMENT = "docs/runbooks/restore_rds.md"

# The codes of RDS are those of its own description, which a test holds them against; the others are of all of AWS.
BUSY = {
    "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "ServiceUnavailable",
    "InternalFailure", "InternalError", "RequestTimeout",
}  # fmt: skip
STATES = {"InvalidDBInstanceState", "InvalidDBClusterStateFault"}
CAPACITY = {
    "InsufficientDBInstanceCapacity", "InsufficientDBClusterCapacityFault", "InsufficientStorageClusterCapacity",
    "ProvisionedIopsNotAvailableInAZFault",
}  # fmt: skip
QUOTAS = {"InstanceQuotaExceeded", "StorageQuotaExceeded", "SnapshotQuotaExceeded", "DBClusterQuotaExceededFault"}
WHO = {
    "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
    "SignatureDoesNotMatch", "AuthFailure", "RequestExpired",
}  # fmt: skip
RIGHTS = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
GONE = {"DBInstanceNotFound", "DBClusterNotFoundFault", "DBSnapshotNotFound", "DBClusterSnapshotNotFoundFault"}
THERE = {
    "DBInstanceAlreadyExists", "DBClusterAlreadyExistsFault", "DBSnapshotAlreadyExists",
    "DBClusterSnapshotAlreadyExistsFault",
}  # fmt: skip

_one_at_a_time = threading.Lock()  # a session of boto3's makes clients for one thread alone


class Missing(Refused):
    """What was asked for does not exist."""


class Taken(Refused):
    """What was to be made exists already."""


def connect(rds: Rds) -> Any:
    """A client of RDS in the catalogue's region."""
    seconds = read_settings().request_timeout
    config = Config(
        connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1}, user_agent_extra="ripcord"
    )
    with _one_at_a_time:
        return _session().client("rds", region_name=rds.region, config=config)


@cache
def _session() -> Any:
    """Read the description of the service once; forgotten when AWS does not know us, so that a Retry finds new keys."""
    return boto3.session.Session()


def call(rds: Rds, operation: str, **parameters: object) -> dict[str, Any]:
    """Ask RDS for one operation, named as boto3's methods are, and return its answer.

    Raises Missing and Taken where there is none, or one already; Unavailable where RDS is silent, busy or has no room
    now; Refused for everything else, with the way out.
    """
    try:
        found: dict[str, Any] = getattr(connect(rds), operation)(**parameters)
    except ClientError as error:
        raise _meant(operation, str(error.response["Error"].get("Code")), _said(error)) from None
    except (NoCredentialsError, PartialCredentialsError):
        _session.cache_clear()
        raise Refused(
            f"boto3 finds no AWS credentials: give the process a role, or set AWS_PROFILE; {DOCUMENT}"
        ) from None
    except ParamValidationError as error:
        raise Refused(f"RDS would not take {operation}: {_flat(error)}") from None
    except BotoCoreError as error:
        raise Unavailable(f"RDS in {rds.region} did not answer {operation}: {_flat(error)}") from None
    return found


def wait_for(look: Callable[[], T | None], within: timedelta, why: Callable[[], str]) -> T:
    """Look until there is something; an RDS that is silent or busy meanwhile is looked at again.

    Raises Unavailable with the reason after `within`: running again goes on.
    """
    return waiting.wait_for(look, within, why, POLL_SECONDS, "look at it in the RDS console")


def _meant(operation: str, code: str, said: str) -> Refused | Unavailable:
    if code in GONE:
        return Missing(f"RDS does not have it: {said}")
    if code in THERE:
        return Taken(f"RDS has it already: {said}")
    if code in BUSY:
        return Unavailable(f"RDS is busy and did not take {operation} ({code}): it is tried again")
    if code in STATES:
        return Unavailable(f"RDS does not take {operation} in this state: {said}; wait until it is available")
    if code in CAPACITY:
        return Unavailable(f"AWS has no room for it now ({code}): run this again in some minutes, or ask AWS's support")
    if code in QUOTAS:
        return Refused(f"a quota of the account is used up ({code}): have it raised, or remove what is not needed")
    if code in WHO:
        _session.cache_clear()
        return Refused(f"AWS does not know who we are ({code}): renew the credentials of this process")
    if code in RIGHTS:
        return Refused(f"the role may not {operation}: see the policy in {DOCUMENT}")
    return Refused(f"RDS does not take {operation} ({code}): {said}")


def _said(error: ClientError) -> str:
    return _flat(error.response["Error"].get("Message", ""))


def _flat(text: object) -> str:
    return " ".join(str(text).split())[:300]
