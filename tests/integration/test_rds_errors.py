"""What RDS and botocore say when they say no, each in one sentence that tells whether anything was changed."""

from datetime import timedelta
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.awsrequest import AWSResponse

from recovery.errors import RecoveryError, Refused, Unavailable
from recovery.rds_catalog import Rds
from tasks.rds import api
from tests.integration.rds_shop import REGION, URL

RDS = Rds(instance="shop", region=REGION, url_variable=URL)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "of-nobody"), ("SECRET_ACCESS_KEY", "for-nothing")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


def answering(monkeypatch: pytest.MonkeyPatch, code: str, message: str, status: int = 400) -> None:
    """Have the next calls be answered with an error of RDS, as botocore has parsed it."""
    connect = api.connect

    def connected(rds: Rds) -> Any:
        client = connect(rds)
        parsed = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
        response = (AWSResponse("", status, {}, None), parsed)
        client.meta.events.register("before-call.rds.*", lambda **_: response)
        return client

    monkeypatch.setattr(api, "connect", connected)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("Throttling", Unavailable, "RDS is busy and did not take modify_db_instance (Throttling): it is tried again"),
        ("ServiceUnavailable", Unavailable, "RDS is busy"),
        ("InsufficientDBInstanceCapacity", Unavailable, "AWS has no room for it now"),
        ("InvalidDBInstanceState", Unavailable, "RDS does not take modify_db_instance in this state: it is so"),
        ("InstanceQuotaExceeded", Refused, "a quota of the account is used up (InstanceQuotaExceeded): have it raised"),
        ("SnapshotQuotaExceeded", Refused, "a quota of the account is used up"),
        ("ExpiredToken", Refused, "AWS does not know who we are (ExpiredToken): renew the credentials"),
        ("InvalidClientTokenId", Refused, "AWS does not know who we are"),
        (
            "AccessDenied",
            Refused,
            "the role may not modify_db_instance: see the policy in docs/runbooks",
        ),
        ("DBInstanceNotFound", api.Missing, "RDS does not have it: it is so"),
        ("DBInstanceAlreadyExists", api.Taken, "RDS has it already: it is so"),
        ("InvalidVPCNetworkStateFault", Refused, "RDS does not take modify_db_instance (InvalidVPCNetworkStateFault)"),
    ],
)
def test_each_no_is_a_sentence(
    code: str, kind: type[RecoveryError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be tried again is told from what a person must mend."""
    answering(monkeypatch, code, "it is\nso")

    with pytest.raises(kind) as error:
        api.call(RDS, "modify_db_instance", DBInstanceIdentifier="shop")

    assert type(error.value) is kind
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_a_code_that_we_know_is_one_that_rds_has() -> None:
    """By the description of the service; a misspelt one would be a refusal where a retry helps."""
    service = botocore.session.get_session().get_service_model("rds")
    errors = [error for name in service.operation_names for error in service.operation_model(name).error_shapes]
    known = {error.metadata.get("error", {}).get("code", error.name) for error in errors}

    assert known >= api.STATES | api.CAPACITY | api.QUOTAS | api.GONE | api.THERE


def test_an_rds_that_is_not_there_is_unavailable() -> None:
    """Nothing listens on the port."""
    with pytest.raises(Unavailable, match=rf"RDS in {REGION} did not answer describe_db_instances"):
        api.call(RDS, "describe_db_instances")


def test_a_parameter_that_rds_does_not_have_never_leaves() -> None:
    """botocore holds it against the service's description first."""
    with pytest.raises(Refused, match=r"RDS would not take describe_db_instances: .*Unknown parameter"):
        api.call(RDS, "describe_db_instances", DBInstanceIdentifer="shop")


def test_keys_that_come_later_are_found_by_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without credentials says so, and a Retry looks again."""
    api._session.cache_clear()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    with pytest.raises(Refused, match="boto3 finds no AWS credentials: give the process a role"):
        api.call(RDS, "describe_db_instances")

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "for-nothing")

    with pytest.raises(Unavailable):
        api.call(RDS, "describe_db_instances")


def test_expired_keys_are_looked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person renews them and presses Retry: the process is not started again."""
    before = api._session()
    answering(monkeypatch, "ExpiredToken", "expired")
    with pytest.raises(Refused):
        api.call(RDS, "describe_db_instances")

    assert api._session() is not before
    assert isinstance(before, boto3.session.Session)


def test_a_long_wait_outlives_a_busy_rds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of waiting are not ended by a throttled look; a refusal ends them at once."""
    monkeypatch.setattr(api, "POLL_SECONDS", 0.001)
    answers: list[str | Exception | None] = [Unavailable("busy"), None, Unavailable("busy"), "there"]

    def look() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert api.wait_for(look, timedelta(seconds=30), lambda: "not there") == "there"
    answers[:] = [Refused("never")]
    with pytest.raises(Refused, match="never"):
        api.wait_for(look, timedelta(seconds=30), lambda: "not there")
    answers[:] = [None]
    with pytest.raises(Unavailable, match=r"not there, and that for 0s: look at it in the RDS console"):
        api.wait_for(look, timedelta(seconds=0), lambda: "not there")
