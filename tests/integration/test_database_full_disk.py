"""A disk that fills up in the middle of a gate or a restore: a sentence with the way out, and then it goes on."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.lab.postgres import Postgres, postgres
from tests.integration.restoring import new_street
from tests.integration.sides_shop import with_sides
from tests.integration.small_disk import on_small_disk
from tests.integration.way_back import Shop, new_shop

GATE = ("keep_settings", "arm_parachute", "make_point", "keep_chain", "prove_way_back", "check_parachute")
SAMPLE = ("make_point", "prove_way_back")
RESTORE = ("ready_side", "promote_restored", "archive_restored")
BEFORE = RESTORE[:2]  # of these the thaw lets everybody go on
MEGABYTES = 700
numbers = itertools.count(1)


@pytest.fixture(name="shop")
def _shop(archiving: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(archiving, f"full{next(numbers)}", monkeypatch) as shop, with_sides(shop, parachute=True) as sided:
        yield sided


def walked(what: str, shop: Shop, *steps: str) -> list[dict[str, Any]]:
    """What came of each step's walk."""
    argv = [sys.executable, "-m", "tests.integration.filling", what, "$DISK", shop.service.model_dump_json(), *steps]
    done, _ = on_small_disk(MEGABYTES, argv)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_gates(ended: list[dict[str, Any]], *steps: str) -> None:
    """Each of the first is unavailable for want of room and leaves nothing unfinished; each of the second is proved."""
    assert [each["step"] for each in ended] == list(steps)
    for each in ended:
        assert each["said"].startswith("Unavailable: "), each
        assert "make room there" in each["said"], each
        assert (each["left"], each["again"]) == ([], "True"), each


def test_a_gate_whose_disk_fills_up_says_so_and_the_next_one_is_proved(shop: Shop) -> None:
    """Right before the point is recorded, and before a copy is made."""
    assert_gates(walked("gate", shop, *SAMPLE), *SAMPLE)


@pytest.mark.torture
def test_a_gate_whose_disk_fills_up_before_any_step_says_so(shop: Shop) -> None:
    """Right before each step that writes."""
    assert_gates(walked("gate", shop, *GATE), *GATE)


@pytest.mark.parametrize(
    "steps", [("ready_side", "archive_restored"), pytest.param(RESTORE, marks=pytest.mark.torture)]
)
def test_a_restore_whose_disk_fills_up_goes_on_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[str, ...]
) -> None:
    """Before the promotion everybody goes on as before; after it clients come to the restored server all the same."""
    with (
        postgres(tmp_path / "server", archiving=True) as server,
        new_street(server, "fillingup", tmp_path, monkeypatch) as street,
    ):
        street.shop.gate()

        ended = walked("restore", street.shop, *steps)

        assert [each["step"] for each in ended] == [*steps, ""]
        for each in ended[:-1]:
            assert each["said"].startswith("Unavailable: " if each["step"] in BEFORE else "Incomplete: "), each
            assert "make room" in each["said"], each
            assert each["left"] == [], each
        assert ended[-1]["again"].startswith("took a backup of the restored server, on timeline 2")
        assert street.led_to_side()
        assert street.allowed() == (True, 0)
        backup = Path(street.shop.database.backups, f"{street.shop.point().name}-restored", "data")
        verify: list[str | Path] = [server.binaries / "pg_verifybackup", "--no-parse-wal", "--quiet", backup]
        subprocess.run(verify, check=True)
