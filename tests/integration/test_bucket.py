"""Finished WAL in a bucket, on a real server and moto's S3; boto3 and plain SQL are the witnesses."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.aws import aws
from infra.lab.postgres import Postgres
from infra.lab.process import free_port
from recovery.databases import Restore, Secret
from recovery.errors import Refused, Unavailable
from tasks.postgres.engines import engine_of
from tests.integration.buckets import ANYBODY, PREFIX, REGION, s3_of, wal_in_bucket
from tests.integration.way_back import Shop, go_back, new_shop, place_for_sides

NUMBERS = count(1)


@dataclass(frozen=True)
class Kept:
    """A shop whose WAL goes into a bucket."""

    shop: Shop
    s3: Any
    endpoint: str
    bucket: str

    def versions(self) -> dict[str, int]:
        """How many versions each key has."""
        listed = self.s3.list_object_versions(Bucket=self.bucket).get("Versions", [])
        keys = [str(each["Key"]) for each in listed]
        return {key: keys.count(key) for key in keys}

    def change(self, **changes: object) -> Shop:
        """The shop with another word of its bucket in the catalogue."""
        assert self.shop.database.bucket is not None
        return self.shop.with_(bucket=self.shop.database.bucket.model_copy(update=changes))


@pytest.fixture(name="endpoint", scope="module")
def _endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with aws(tmp_path_factory.mktemp("aws")) as url:
        yield url


@pytest.fixture(name="kept")
def _kept(archiving: Postgres, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    for name, value in ANYBODY.items():
        monkeypatch.setenv(name, value)
    number = next(NUMBERS)
    with (
        new_shop(archiving, f"pail{number}", monkeypatch) as shop,
        place_for_sides(archiving) as sides,
        wal_in_bucket(archiving, endpoint, f"wal-{number}") as bucket,
    ):
        restore = Restore(sides=str(sides), port=free_port(), secret=Secret(name="shop"))
        words = {"bucket": bucket, "archive": None, "restore": restore}
        yield Kept(shop.with_(**words), s3_of(endpoint), endpoint, bucket.name)


def test_the_gate_proves_a_set_whose_wal_came_from_the_bucket(kept: Kept) -> None:
    """Every segment of the set is in the bucket, locked; the set has its own copy."""
    way = kept.shop.gate()

    assert way.proved, way.reason
    assert "rows as they were" in way.reason
    segments = [path.name for path in kept.shop.place().wal.iterdir()]
    assert segments
    for segment in segments:
        head = kept.s3.head_object(Bucket=kept.bucket, Key=f"{PREFIX}/{segment}")
        assert head["ObjectLockMode"] == "GOVERNANCE"


def test_the_first_version_of_a_segment_is_believed(kept: Kept) -> None:
    """Somebody wrote over a segment, and deleted it: what the server wrote first is read."""
    segment, file = "000000010000000000000001", Path(kept.shop.database.backups) / "fetched"
    bucket = versioned(kept, "first")
    archive = engine_of(kept.change(name=bucket, locked=False).database)
    for content in (b"honest", b"nonsense"):
        kept.s3.put_object(Bucket=bucket, Key=f"{PREFIX}/{segment}", Body=content)
    kept.s3.delete_object(Bucket=bucket, Key=f"{PREFIX}/{segment}")

    archive.fetch(segment, file)

    assert file.read_bytes() == b"honest"
    assert archive.holds(segment, len(b"honest"))
    assert not archive.holds(segment, len(b"nonsense"))
    file.unlink()


def versioned(kept: Kept, name: str) -> str:
    """A bucket that keeps versions and locks none."""
    bucket = f"{kept.bucket}-{name}"
    kept.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    kept.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def test_a_segment_that_is_not_there_is_said(kept: Kept) -> None:
    """Neither held nor fetched, and nothing of it is left behind."""
    archive, place = engine_of(kept.shop.database), Path(kept.shop.database.backups)
    before = sorted(path.name for path in place.iterdir())

    assert not archive.holds("0000000100000000000000FF", 16 << 20)
    with pytest.raises(Refused, match=f"0000000100000000000000FF is not in s3://{kept.bucket}/{PREFIX}"):
        archive.fetch("0000000100000000000000FF", place / "fetched")
    assert sorted(path.name for path in place.iterdir()) == before


def test_what_does_not_have_its_checksum_is_refused(kept: Kept) -> None:
    """A bit flips on the way: boto3 holds it against the checksum that the writer gave."""
    segment, place = "000000010000000000000001", Path(kept.shop.database.backups)
    kept.s3.put_object(Bucket=kept.bucket, Key=f"{PREFIX}/{segment}", Body=b"w" * 1000, ChecksumAlgorithm="SHA256")
    engine_of(kept.shop.database).fetch(segment, place / "honest")
    assert (place / "honest").read_bytes() == b"w" * 1000

    with flipping(kept.endpoint) as address:
        flipped = engine_of(kept.change(endpoint=address).database)
        with pytest.raises(Refused, match="does not have its checksum"):
            flipped.fetch(segment, place / "flipped")
    assert not (place / "flipped").exists()
    (place / "honest").unlink()


@contextmanager
def flipping(endpoint: str) -> Iterator[str]:
    """A proxy that flips a bit of what is long enough to be a segment."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            answer = httpx.get(endpoint + self.path, headers=headers, trust_env=False)
            body = bytearray(answer.content)
            if len(body) == 1000:
                body[500] ^= 1
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_side_reads_and_archives_with_the_teams_own_tool(kept: Kept) -> None:
    """It has the hundred orders and not the one after; its own timeline arrives in the bucket."""
    kept.shop.gate()
    kept.shop.sql("INSERT INTO orders (amount) VALUES (0)")

    side = go_back(kept.shop)

    assert side.sql("SELECT count(*) FROM orders") == [(100,)]
    assert [key for key in kept.versions() if key.startswith(f"{PREFIX}/00000002")]


def test_a_bucket_that_keeps_no_versions_is_refused(kept: Kept) -> None:
    """Before anything is taken; and so is one that locks nothing, unless the catalogue allows it."""
    kept.s3.create_bucket(Bucket=f"{kept.bucket}-plain", CreateBucketConfiguration={"LocationConstraint": REGION})
    bucket = versioned(kept, "versions")

    with pytest.raises(Refused, match="keeps no versions: enable versioning"):
        kept.change(name=f"{kept.bucket}-plain").gate()
    with pytest.raises(Refused, match="locks nothing by itself"):
        kept.change(name=bucket).gate()
    engine_of(kept.change(name=bucket, locked=False).database).check()
    assert kept.shop.sets() == []


def test_a_bucket_that_is_not_there_or_does_not_answer_is_said(kept: Kept) -> None:
    """The first is a person's affair, the second passes."""
    with pytest.raises(Refused, match="NoSuchBucket"):
        kept.change(name="nobody").gate()
    with pytest.raises(Unavailable, match="did not answer"):
        engine_of(kept.change(endpoint="http://127.0.0.1:1").database).check()
    assert kept.shop.sets() == []


def test_without_credentials_the_way_out_is_named(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no silence that passes; and with credentials the next try goes on."""
    here = kept.change(endpoint=kept.endpoint.replace("127.0.0.1", "localhost"))  # a client of its own
    with monkeypatch.context() as bare:
        for name in ANYBODY:
            bare.delenv(name)
        bare.setenv("AWS_EC2_METADATA_DISABLED", "true")
        bare.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        with pytest.raises(Refused, match=r"boto3 finds no credentials for .*: give the process a role"):
            engine_of(here.database).check()
    engine_of(here.database).check()
