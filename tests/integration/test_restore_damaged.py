"""A set or a side that was damaged after its gate has proved it is never led to, and nothing is done for its sake.

One bit is turned over where no count and no smoke query looks. Hashes of every file, plain SQL and PgBouncer's own
console are the witnesses.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import flows.prepare_release
import flows.restore_database
from infra.lab.postgres import Postgres
from recovery.errors import Refused, Unavailable
from recovery.sides import Stage
from tasks.postgres.sides import raise_side, read_side
from tests.integration.restoring import Street, new_street

WORDS = "Dear customer, your order has left our house"
AMCHECK = "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'"


def prepare(street: Street) -> None:
    """A letter in a table that nobody sums up, and a release that is proved."""
    street.shop.sql(f"CREATE TABLE letters (body text); INSERT INTO letters VALUES ('{WORDS}'); CHECKPOINT")
    if street.shop.sql(AMCHECK):
        street.shop.sql("CREATE EXTENSION amcheck")
    street.shop.gate("v1.1.0")


@pytest.fixture(name="gated", scope="module")
def _gated(archiving: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    """One shop for the tests that leave it as it was, with two proved points."""
    with (
        pytest.MonkeyPatch.context() as patch,
        new_street(archiving, "bitten", tmp_path_factory.mktemp("pooler"), patch) as street,
    ):
        prepare(street)
        street.shop.gate()
        yield street


@pytest.fixture(name="street")
def _street(gated: Street) -> Iterator[Street]:
    """The shop; a test that does not leave it as it was fails."""
    yield gated
    gated.as_before()
    gated.end_sides()
    for left in Path(gated.restore.sides).iterdir():
        shutil.rmtree(left)


@pytest.fixture(name="far")
def _far(monkeypatch: pytest.MonkeyPatch) -> str:
    """The restore ends right before the promotion, with this sentence."""

    def stop(*given: object) -> str:
        raise Unavailable("far enough")

    monkeypatch.setattr(flows.restore_database, "promote_restored", stop)
    return "far enough"


def refusal(street: Street) -> str:
    """The sentence with which a restore is refused while customers write, none of whom is held back."""
    with street.customers() as customers, pytest.raises(Refused) as refused:
        street.take_back()
    assert customers.errors == []
    assert "\n" not in str(refused.value)
    return str(refused.value)


def flip(path: Path, at: int) -> None:
    """Turn one bit over."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def letters(street: Street, data: Path) -> Path:
    """The file of the table of letters below a data directory."""
    [(path,)] = street.shop.sql("SELECT pg_relation_filepath('letters')")
    return data / str(path)


def spoil_letter(street: Street) -> Path:
    """One letter of the alphabet is another one, in the backup of the set."""
    file = letters(street, street.shop.place().data)
    flip(file, file.read_bytes().index(WORDS.encode()) + 6)
    return file


def spoil_wal(street: Street) -> Path:
    """One bit of the WAL right before the point."""
    segment = max(street.shop.place().wal.iterdir())
    flip(segment, (int(street.shop.then().lsn.partition("/")[2], 16) % (1 << 24)) - 40)
    return segment


def cut_wal(street: Street) -> Path:
    """Half of a segment."""
    segment = max(street.shop.place().wal.iterdir())
    os.truncate(segment, 1 << 23)
    return segment


def lose_wal(street: Street) -> Path:
    """A whole segment."""
    segment = max(street.shop.place().wal.iterdir())
    segment.unlink()
    return segment


def hashes(directory: Path) -> dict[str, str]:
    """Every file below a directory, the unfinished ones and those of ended servers included."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture(name="kept")
def _kept(street: Street, tmp_path: Path) -> Iterator[None]:
    """The set is as it was proved when the test is over."""
    place = street.shop.place()
    shutil.copytree(place.set, tmp_path / "set", symlinks=True)
    yield
    for path in (tmp_path / "set").rglob("*"):
        if path.is_file():
            there = place.set / path.relative_to(tmp_path / "set")
            new = not there.exists()
            there.write_bytes(path.read_bytes())
            if new:
                shutil.copystat(path, there)
                os.chown(there, place.set.stat().st_uid, place.set.stat().st_gid)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (spoil_letter, "checksum"),
        (spoil_wal, "is damaged: pg_waldump failed"),
        (cut_wal, "has 8388608 bytes and not 16777216"),
        (lose_wal, "are not in "),
    ],
)
def test_what_was_damaged_since_its_proof_is_named_before_anything_is_touched(
    street: Street, harm: object, said: str
) -> None:
    """The file or the segment by its name, with the older set as the way out; every byte stays where it is.

    A stopped server of the older point lies beside, which a restore that goes on would take away.
    """
    raise_side.fn(street.shop.database, street.shop.point("v1.1.0"))
    street.end_sides()
    assert callable(harm)
    harmed = harm(street)
    sets, sides = Path(street.shop.database.backups), Path(street.restore.sides)
    before = hashes(sets), hashes(sides)

    sentence = refusal(street)

    assert harmed.name in sentence
    assert said in sentence
    older, damaged = street.shop.point("v1.1.0").name, street.shop.place().set
    assert sentence.startswith(f"the set {damaged.name} does not pass the check any more that it passed at its gate: ")
    assert f"the next older one is {older}, made " in sentence
    assert f"move {damaged} away and restore v1.1.0" in sentence
    assert (hashes(sets), hashes(sides)) == before


@pytest.mark.usefixtures("kept")
def test_a_server_that_stands_at_the_point_needs_its_set_no_more(street: Street, far: str) -> None:
    """It has files of its own: what became of the set since holds up nobody."""
    raise_side.fn(street.shop.database, street.shop.point())
    spoil_letter(street)

    with pytest.raises(Unavailable, match=far):
        street.take_back()


def test_damage_in_a_server_that_stood_beside_is_found_before_clients_are_led_to_it(street: Street, far: str) -> None:
    """An index that lost its entries counts as many rows. Moved away as it says, another one is made from the set."""
    if not street.shop.sql(AMCHECK):
        pytest.skip("this PostgreSQL comes without amcheck")
    database, point = street.shop.database, street.shop.point()
    raise_side.fn(database, point)
    street.end_sides()
    [(path,)] = street.shop.sql("SELECT pg_relation_filepath('orders_pkey')")
    place = Path(street.restore.sides, point.name)
    content = bytearray((place / "data" / str(path)).read_bytes())
    content[8192 + 7000 : 8192 + 7512] = bytes(range(256)) * 2
    (place / "data" / str(path)).write_bytes(content)

    sentence = refusal(street)

    assert sentence.startswith(f"the server restored to {point.name} is damaged: pg_amcheck failed: ")
    assert "orders_pkey" in sentence
    assert f"stop it, move {place} away, and run this again" in sentence
    assert read_side.fn(database, point).stage is Stage.PAUSED

    street.end_sides()
    place.rename(place.with_name(f".{place.name}.damaged"))
    with pytest.raises(Unavailable, match=far):
        street.take_back()
    assert read_side.fn(database, point).stage is Stage.PAUSED


def test_the_way_out_that_is_named_leads_back(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The damaged set is moved away, the older one restored: the letter reads as it was written."""
    with new_street(archiving, "older", tmp_path, monkeypatch) as street:
        prepare(street)
        street.shop.gate()
        spoil_letter(street)
        assert "and restore v1.1.0" in refusal(street)
        street.as_before()

        street.shop.place().set.rename(street.shop.server.data.parent / "moved-away")
        said = street.take_back("v1.1.0")

        assert said[0].startswith("every file of its backup and every record of the ")
        assert street.led_to_side()
        assert street.restored("SELECT body FROM letters") == [(WORDS,)]


def test_a_parachute_that_was_never_checked_takes_no_damaged_wal(
    archiving: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its gate died before it was cut off from the primary: of the set it takes the WAL, and only that is looked at."""
    monkeypatch.setattr(flows.prepare_release, "check_parachute", lambda *given: "died")
    with new_street(archiving, "unarmed", tmp_path, monkeypatch) as bare:
        restore = bare.restore.model_copy(update={"parachute": True})
        street = Street(bare.shop.with_(restore=restore), bare.pooler, restore)
        prepare(street)
        segment = max(street.shop.place("v1.1.0").wal.iterdir())
        whole = segment.read_bytes()
        flip(segment, (int(street.shop.then("v1.1.0").lsn.partition("/")[2], 16) % (1 << 24)) - 40)

        with pytest.raises(Refused, match=f"begins in {segment.name} in {segment.parent}.*no older set"):
            street.take_back("v1.1.0")
        street.as_before()

        segment.write_bytes(whole)
        flip(letters(street, street.shop.place("v1.1.0").data), 0)
        assert street.take_back("v1.1.0")[0].startswith("every record of the ")
        assert street.restored("SELECT body FROM letters") == [(WORDS,)]
