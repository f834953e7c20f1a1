"""How a side comes to stand, paused at its point, and how it is taken down again."""

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.restore_points import Then
from recovery.sides import Label, Side, Stage, judge_leaving, judge_place, judge_stop, restore_of
from tasks.postgres.building import build, label_file, part_of, recover, set_own, standing_of, take_chain
from tasks.postgres.notes import read_note, write_note
from tasks.postgres.places import place_of
from tasks.postgres.settings_kept import read_kept
from tasks.postgres.standing import RECOVERY_SECONDS, Standing, accepts, remove

# After a promotion the control file tells the old timeline until the first checkpoint, which takes its time.
_SIDE = """
SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END,
       CASE WHEN pg_is_in_recovery() THEN timeline_id
            ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END, system_identifier::text,
       (SELECT count(*)::int FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datid IS NOT NULL
        AND coalesce(backend_type, 'client backend') = 'client backend' AND application_name NOT LIKE 'ripcord%'),
       current_setting('archive_command') NOT IN ('', '(disabled)')
       OR coalesce(current_setting('archive_library', true), '') <> ''
FROM pg_control_checkpoint(), pg_control_system()
"""


def look(database: Database, name: str) -> Side:
    """What stage the side of a point is in. Raises Refused when its files are not what was written there."""
    restore, standing = restore_of(database), standing_of(database, name)
    label = read_note(label_file(standing), Label)
    side = Side(name, Stage.ABSENT, restore.host, restore.port)
    if label is not None:
        side = replace(side, parachute=label.parachute, seconds=label.seconds)
        if standing.running():
            return _ask(side, standing, database)
        side = replace(side, stage=Stage.STOPPED if standing.signals() else Stage.PROMOTED)
    elif standing.place.exists():
        raise Refused(f"{standing.place} is there and was not made by ripcord: move it away")
    elif part_of(standing).exists():
        side = replace(side, stage=Stage.PARTIAL)
    if accepts(side.host, side.port):
        foreign = f"port {side.port} of {side.host} is held by somebody else than the side {name}"
        return replace(side, foreign=foreign)
    return side


def _ask(side: Side, standing: Standing, database: Database) -> Side:
    running = replace(side, running=True, socket=standing.way["host"])
    signalled = bool(standing.signals())
    try:
        with standing.asked(database) as asked:
            [(recovering, paused, lsn, timeline, system_id, clients, archiving)] = asked.rows(_SIDE)
    except Unavailable:  # it does not let anybody in before it is consistent
        return replace(running, stage=Stage.REPLAYING if signalled else Stage.PROMOTED)
    stage = Stage.PROMOTED if not recovering else Stage.PAUSED if paused == "paused" else Stage.REPLAYING
    return replace(
        running, stage=stage, lsn=lsn, timeline=timeline, system_id=system_id, clients=clients, archiving=archiving
    )


def stand(database: Database, then: Then, follow_seconds: float = 0.0) -> str:
    """Have the side of a point stand, paused exactly at it, whatever stage it was in.

    A parachute that still follows the primary gets `follow_seconds` to stop at the point by itself, then it is cut off.
    """
    judge_place(database)
    began, name = time.monotonic(), then.name
    side, standing = look(database, name), standing_of(database, name)
    if side.stage is Stage.PROMOTED:
        if not side.running:
            start(database, side)
            return f"started the side {name}, which was promoted"
        return f"skipped: the side {name} was promoted"
    following = standing.follows()
    if side.stage is Stage.PAUSED and not following:
        judge_stop(side, then.lsn)
        return f"skipped: the side {name} is paused at {then.lsn}"
    clear_others(database, then.service, name)
    if side.stage in (Stage.ABSENT, Stage.PARTIAL):
        free(look(database, name))
        build(database, Label(then.service, then.version, name, parachute=False))
    if following:
        _cut_off(database, then, follow_seconds if side.running else 0.0)
        began = time.monotonic()
    start(database, look(database, name))
    standing.wait_until_paused(database)
    judge_stop(look(database, name), then.lsn)
    seconds = _note_time(standing, time.monotonic() - began)
    known = "" if read_kept(place_of(database, name)) else "; its set keeps no settings, it has those of its backup"
    return f"the side {name} is paused at {then.lsn}, after {seconds:.1f} s{known}"


def _note_time(standing: Standing, seconds: float) -> float:
    label = read_note(label_file(standing), Label)
    if label is not None:
        write_note(label_file(standing), replace(label, seconds=seconds))
    return seconds


def _cut_off(database: Database, then: Then, seconds: float) -> None:
    """From a standby that follows to a server that has come to its point: it asks no primary and streams no more.

    Paused, a standby would go on receiving, and fill its disk for as long as it stands.
    """
    standing, place = standing_of(database, then.name), place_of(database, then.name)
    if seconds:
        with suppress(Refused):  # the set's own WAL leads it there then, or says why it does not
            standing.wait_until_paused(database, seconds)
    try:
        take_chain(place, standing.place)
    except OSError as error:
        raise Unavailable(f"{standing.place} cannot be written: {error.strerror}; make room there") from None
    standing.stop()
    if not standing.signals():
        raise Refused(f"the side {then.name} was promoted meanwhile, and is left as it is: start it again")
    recover(standing.data, standing, database, then.name)
    (standing.place / "passfile").unlink(missing_ok=True)


def start(database: Database, side: Side, seconds: float = RECOVERY_SECONDS) -> None:
    """Start the side's server, and give it so long to let one in. Raises Refused when somebody else holds its port."""
    if not side.running:
        free(side)
        standing = standing_of(database, side.name)
        set_own(database, standing)
        standing.start(side.port, seconds)


def free(side: Side) -> None:
    """Raises Refused when somebody else holds the side's port."""
    if side.foreign:
        raise Refused(f"{side.foreign}: stop that, or name another `port` in the catalogue")


def clear_others(database: Database, service: str, name: str) -> None:
    """Take down the older sides of a service: they hold its port and its disk. Raises Refused for one in use."""
    for other in labels(database):
        if other.service == service and other.name != name:
            side = look(database, other.name)
            if side.stage is Stage.PROMOTED and not _on_the_port(database, other.name):
                continue  # it serves elsewhere by now, and is none of ours any more
            take_down(database, other.name)


def _on_the_port(database: Database, name: str) -> bool:
    way = standing_of(database, name).way
    return way["port"] == str(restore_of(database).port)


def labels(database: Database) -> list[Label]:
    """What the sides say of themselves that are there, oldest name first."""
    found = [read_note(path, Label) for path in sorted(Path(restore_of(database).sides).glob("[!.]*/side.json"))]
    return [label for label in found if label is not None]


def begun_file(database: Database, name: str) -> Path:
    """Where it is kept that a restore was begun: beside the side, so that it is there before the side is."""
    return Path(restore_of(database).sides) / f"{name}.restore.json"


def take_down(database: Database, name: str) -> str:
    """Stop and remove a side. Raises Refused for one that was promoted or is in use, or is about to be."""
    if begun_file(database, name).exists():
        raise Refused(f"a restore to {name} was begun: let it come to its end first")
    side, standing = look(database, name), standing_of(database, name)
    if side.stage is Stage.ABSENT:
        return f"skipped: there is no side {name}"
    judge_leaving(side, "taken down")
    standing.stop()
    if side.stage is not Stage.PARTIAL and not standing.signals():
        raise Refused(f"the side {name} was promoted meanwhile and is not taken down by us: start it again")
    remove(standing.place)
    remove(part_of(standing))
    return f"took down the side {name}, which was {side.stage}"
