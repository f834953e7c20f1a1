"""A bucket that keeps versions and locks them, on moto's S3, and a server whose WAL the team's own tool puts there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from infra.lab.archiving import archiving_by
from infra.lab.postgres import Postgres
from infra.lab.pythons import find_python
from recovery.databases import Bucket

PREFIX, REGION = "shop/wal", "eu-central-1"
ANYBODY = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}  # moto believes whoever comes
# As `aws s3 cp` would be. As AWS, moto takes nothing without a checksum into a bucket that locks.
TOOL = """import base64, hashlib, sys, urllib.request
verb, url, file = sys.argv[1:]
if verb == "put":
    content = open(file, "rb").read()
    checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
    headers = {"Content-Type": "application/octet-stream", "x-amz-checksum-sha256": checksum}
    headers["x-amz-sdk-checksum-algorithm"] = "SHA256"
    asked = urllib.request.Request(url, data=content, method="PUT", headers=headers)
    urllib.request.urlopen(asked, timeout=30).read()
else:
    content = urllib.request.urlopen(url, timeout=30).read()
    open(file, "wb").write(content)
"""


def s3_of(endpoint: str) -> Any:
    """A client of this S3, which is not ours."""
    keys = {name.lower(): value for name, value in ANYBODY.items()}
    return boto3.session.Session().client("s3", region_name=REGION, endpoint_url=endpoint, **keys)


@contextmanager
def wal_in_bucket(server: Postgres, endpoint: str, name: str) -> Iterator[Bucket]:
    """Have a server archive into a new bucket, for a time; gives it as the catalogue names it."""
    s3 = s3_of(endpoint)
    place = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True, CreateBucketConfiguration=place)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    with tempfile.TemporaryDirectory(prefix="tool-") as directory:
        tool = Path(directory, "tool.py")
        tool.write_text(TOOL)
        tool.parent.chmod(0o755)  # the server's user runs it, whatever the umask
        tool.chmod(0o644)
        called, address = f"{find_python((3, 11))} {tool}", f"{endpoint}/{name}/{PREFIX}/%f"
        with archiving_by(server, f"{called} put {address} %p"):
            yield Bucket(
                name=name, prefix=PREFIX, region=REGION, endpoint=endpoint,
                restore_command=f"{called} get {address} %p",
            )  # fmt: skip
