"""PostgreSQL's own programs, and finished WAL in a bucket of S3, where the team's archive_command puts it.

A finished segment never changes. So of the versions of its object the oldest is believed, whoever has written over it
or deleted it since; and what is read is checked against the checksum that the writer gave (boto3 does it).
Source: Amazon S3 User Guide, "Retaining multiple versions of objects", "Locking objects", "Checking object integrity".
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    FlexibleChecksumError,
    NoCredentialsError,
    PartialCredentialsError,
)

from recovery.databases import Bucket, Database
from recovery.errors import Refused, Unavailable
from tasks.postgres.engines.asked import Asked
from tasks.postgres.engines.native import FromServer
from tasks.postgres.programs import give
from tasks.settings import read_settings

T = TypeVar("T")
_CHUNK = 1 << 20
# Of S3's documentation, "List of error codes"; what is neither is told with S3's own words.
_CLOSED = {"AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "403"}
_BUSY = {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling", "503", "500"}
_UNLOCKED = "ObjectLockConfigurationNotFoundError"


class InBucket(FromServer, Asked):
    """The engine of those whose archive_command writes into a bucket that keeps versions, and locks them."""

    def __init__(self, database: Database, bucket: Bucket) -> None:
        super().__init__(database)
        self._bucket = bucket

    @property
    def archive(self) -> str:
        """Its address, as tools of AWS write it."""
        return f"s3://{self._bucket.name}/{self._bucket.prefix}".rstrip("/")

    def directory(self) -> str:
        """It is none."""
        return ""

    def check(self) -> None:
        """Raises Refused when the bucket is closed, keeps no versions, or does not lock them as the catalogue says."""
        versioning = self._call(lambda s3: s3.get_bucket_versioning(Bucket=self._bucket.name))
        if versioning.get("Status") != "Enabled":
            raise Refused(
                f"{self.archive} keeps no versions: enable versioning, or whoever writes over a segment takes the way "
                "back with it"
            )
        if self._bucket.locked and not self._locks():
            raise Refused(
                f"{self.archive} locks nothing by itself: set a default retention of Object Lock, or say `locked: "
                "false`"
            )

    def holds(self, segment: str, size: int) -> bool:
        """Answer whether its first version has that many bytes."""
        first = self._first(segment)
        return first is not None and first["Size"] == size

    def fetching(self) -> str:
        """As the catalogue says: a server reads with the team's own tool, as it writes with it."""
        return self._bucket.restore_command

    def _ask(self, segment: str, place: Path) -> bool:
        first = self._first(segment)
        if first is None:
            return False
        named = {"Bucket": self._bucket.name, "Key": first["Key"], "VersionId": first["VersionId"]}
        self._call(lambda s3: _write(s3.get_object(**named, ChecksumMode="ENABLED"), place / segment))
        give(place / segment)
        return True

    def _first(self, segment: str) -> dict[str, Any] | None:
        """The oldest version of a segment's object that is there."""
        key = f"{self._bucket.prefix.rstrip('/')}/{segment}".lstrip("/")
        asked = {"Bucket": self._bucket.name, "Prefix": key}
        pages = self._call(lambda s3: list(s3.get_paginator("list_object_versions").paginate(**asked)))
        versions = [each for page in pages for each in page.get("Versions", ()) if each["Key"] == key]
        # They are listed with the newest first, and their times are whole seconds.
        return min(reversed(versions), key=lambda each: each["LastModified"], default=None)

    def _locks(self) -> bool:
        try:
            found = self._call(lambda s3: s3.get_object_lock_configuration(Bucket=self._bucket.name))
        except Refused as refused:
            if _UNLOCKED in str(refused):
                return False
            raise
        return "DefaultRetention" in found["ObjectLockConfiguration"].get("Rule", {})

    def _call(self, ask: Callable[[Any], T]) -> T:
        try:
            return ask(_client(self._bucket.region, self._bucket.endpoint))
        except FlexibleChecksumError as error:
            raise Refused(f"{self.archive} gave what does not have its checksum: {_flat(error)}") from None
        except ClientError as error:
            code = str(error.response["Error"].get("Code"))
            if code in _BUSY:
                raise Unavailable(f"{self.archive} is busy ({code}): it is tried again") from None
            if code in _CLOSED:
                _client.cache_clear()  # so that a Retry finds new keys
                raise Refused(
                    f"{self.archive} is closed to us ({code}): the role needs s3:ListBucketVersions, "
                    "s3:GetObjectVersion, s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration"
                ) from None
            raise Refused(f"{self.archive} did not answer ({code}): {_flat(error)}") from None
        except (NoCredentialsError, PartialCredentialsError):
            _client.cache_clear()
            raise Refused(
                f"boto3 finds no credentials for {self.archive}: give the process a role, or set AWS_PROFILE"
            ) from None
        except (BotoCoreError, OSError) as error:
            if isinstance(error, OSError) and error.filename:
                raise Unavailable(f"{error.filename} cannot be written: {error.strerror}; make room there") from None
            raise Unavailable(f"{self.archive} did not answer: {_flat(error)}") from None


@cache
def _client(region: str, endpoint: str | None) -> Any:
    seconds = read_settings().request_timeout
    config = Config(connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 3})
    return boto3.session.Session().client("s3", region_name=region, endpoint_url=endpoint, config=config)


def _write(answer: dict[str, Any], file: Path) -> None:
    chunks: Iterator[bytes] = answer["Body"].iter_chunks(_CHUNK)
    with file.open("wb") as target:
        for chunk in chunks:
            target.write(chunk)


def _flat(text: object) -> str:
    return " ".join(str(text).split())[:300]
