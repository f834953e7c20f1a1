"""The backup of the restored server: taken once, of that server, and never the reason for which a restore is undone.

pg_verifybackup, the manifest's own words and plain SQL are the witnesses.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra.lab.postgres import Postgres, postgres
from recovery.errors import Incomplete, Unavailable
from tasks.postgres.bridging import back_up_restored
from tests.integration.managers import Keeper, by_barman, by_pgbackrest, by_postgresql
from tests.integration.restoring import Street, new_street

FULL = SimpleNamespace(total=1, used=1, free=0)


@pytest.fixture(name="archiving")
def _archiving(tmp_path: Path) -> Iterator[Postgres]:
    """A server of the test's own: of two restored beside one, both would archive a timeline 2."""
    with postgres(tmp_path / "server", archiving=True) as server:
        yield server


def backup_of(street: Street) -> Path:
    """Where the backup of the restored server lies."""
    return Path(street.shop.database.backups, f"{street.shop.point().name}-restored")


@pytest.mark.parametrize("keeper", [by_postgresql, by_pgbackrest])
def test_it_is_of_the_restored_server_and_taken_once(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeper: Keeper
) -> None:
    """Of its timeline, whole, and the second call finds it; a full disk before that undoes nothing."""
    with (
        keeper(archiving, tmp_path) as (words, path),
        new_street(archiving, "bridged", tmp_path, monkeypatch, words=words) as street,
    ):
        monkeypatch.setenv("PATH", path)
        assert street.shop.gate().proved
        street.take_back()
        point = street.shop.point()
        with monkeypatch.context() as patch:
            patch.setattr("tasks.postgres.bridging.shutil.disk_usage", lambda root: FULL)
            with pytest.raises(
                Incomplete, match=r"^the database is restored to .* missing is a backup of it: .*make room"
            ):
                back_up_restored.fn(street.shop.database, point)
        assert not backup_of(street).exists()
        assert street.led_to_side()

        assert "took a backup of the restored server, on timeline 2" in back_up_restored.fn(street.shop.database, point)

        data = backup_of(street) / "data"
        verify: list[str | Path] = [archiving.binaries / "pg_verifybackup", "--no-parse-wal", data]
        subprocess.run(verify, check=True, capture_output=True)
        ranges = json.loads((data / "backup_manifest").read_text())["WAL-Ranges"]
        assert ranges[-1]["Timeline"] == 2
        before = (data / "backup_manifest").read_bytes()
        assert back_up_restored.fn(street.shop.database, point).startswith("skipped: ")
        assert (data / "backup_manifest").read_bytes() == before
        assert street.restored("SELECT count(*) FROM pg_replication_slots") == [(0,)]
        assert street.led_to_side()


def test_barman_that_leads_to_the_damaged_server_takes_none_of_it(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would name the damaged rows a new backup. The restore stands, and it is said where Barman is to be led."""
    with (
        by_barman(archiving, tmp_path) as (words, path),
        new_street(archiving, "bridged", tmp_path, monkeypatch, words=words) as street,
    ):
        monkeypatch.setenv("PATH", path)
        assert street.shop.gate().proved
        street.take_back()

        address = f"{street.restore.host}:{street.restore.port}"
        with pytest.raises(Incomplete, match=f"leads to one on timeline 1, and the restored one, {address}, is on 2"):
            back_up_restored.fn(street.shop.database, street.shop.point())

        assert not backup_of(street).exists()
        assert street.led_to_side()


def test_a_restored_server_that_is_down_is_told_and_left_alone(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No backup of anything else is taken in its stead."""
    with new_street(archiving, "bridged", tmp_path, monkeypatch) as street:
        assert street.shop.gate().proved
        street.take_back()
        street.end_sides()

        with pytest.raises(
            (Incomplete, Unavailable), match=r"^the database is restored to .* missing is a backup of it: "
        ):
            back_up_restored.fn(street.shop.database, street.shop.point())

        assert not backup_of(street).exists()
