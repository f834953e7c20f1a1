"""Go the way back of a service's newest set, on a copy that is thrown away, and keep what was measured.

A drill has a place of its own, `<backups>/drills/<service>`: it is in no gate's way, needs nobody's fence but another
drill's, and what a killed one has left is removed by the next. Its history is there, too: one line per drill, which
outlives the sets.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from pydantic import TypeAdapter, ValidationError

from recovery.catalog import Service
from recovery.databases import Database
from recovery.drills import Drill, Live, Phases, judge_room, measure_lag
from recovery.errors import RecoveryError, Refused, Unavailable
from recovery.rds_catalog import Reached
from recovery.restore_points import RestorePoint, Then, WayBack, judge_proof
from tasks.postgres.backup import verify
from tasks.postgres.connection import session
from tasks.postgres.engines import engine_of
from tasks.postgres.places import Place, place_of, read_then
from tasks.postgres.programs import give
from tasks.postgres.proving import go_back
from tasks.postgres.set_checks import check_chain
from tasks.retry import ON_UNAVAILABLE, spoken
from tasks.settings import read_settings

HISTORY = "drills.jsonl"
_LIVE = """
SELECT clock_timestamp(), last_archived_time, coalesce(last_archived_wal, ''),
       CASE WHEN last_failed_time > coalesce(last_archived_time, '-infinity') THEN last_failed_wal END,
       CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_lsn()::text END,
       (SELECT setting::int FROM pg_settings WHERE name = 'wal_segment_size')
FROM pg_stat_archiver
"""
_line: TypeAdapter[Drill] = TypeAdapter(Drill)


@dataclass(frozen=True, slots=True)
class DrillPlace(Place):
    """A set as a drill sees it: the copy lies apart, under the same name for every set of the service."""

    service: str

    @property
    def copy(self) -> Path:
        """The copy that is booted, and thrown away."""
        return self.root / "drills" / self.service / "copy"


@task(name="read archiving", task_run_name="read how far the archive of {service} is", persist_result=True)
def read_live(service: str, database: Database) -> Live:
    """The server's clock and archiver. One that does not answer is told in the value: its sets can be drilled still."""
    return live_of(database)


def live_of(database: Reached, way: Mapping[str, str] | None = None) -> Live:
    """What a server says of its clock and archiver, or why it does not; `way` leads elsewhere than the conninfo."""
    try:
        with session(database, way) as asked:
            [(now, archived_at, archived, failing, lsn, segment_size)] = asked.rows(_LIVE)
    except RecoveryError as error:
        return Live(datetime.now(UTC), str(error))
    lag = measure_lag(lsn, archived, segment_size) if lsn else None
    return Live(now, None, archived_at, failing, lag)


@task(name="read sets", task_run_name="read the sets of {service}", **ON_UNAVAILABLE)
def read_sets(service: str, database: Database) -> list[Then]:
    """What the proved sets of a service record. Raises Refused when their directory is missing or closed."""
    root = Path(database.backups)
    if not os.access(root, os.R_OK | os.X_OK):
        raise Refused(f"{root} is not there, or closed to us: run ripcord where the sets are, as their owner")
    proofs = sorted(root.glob("[!.]*/proof.json"))
    found = [read_then(Place(root, path.parent.name)) for path in proofs]
    return [then for then in found if then and then.service == service]


@task(name="check set", task_run_name="check the set {then.name}", **ON_UNAVAILABLE)
@spoken
def check_set(database: Database, then: Then) -> str:
    """Check every file of a set's backup and every record of its WAL, before a copy is booted.

    Raises Refused naming what is damaged or missing, or when a copy would have no room.
    """
    place, point = place_of(database, then.name), RestorePoint(then.name, 1, then.lsn, then.made_at)
    engine = engine_of(database)
    judge_room(shutil.disk_usage(place.root).free, engine.size(place), database.backups)
    verify(place, database)
    count, flaw = check_chain(database, point)
    if flaw:
        raise Refused(str(flaw))
    return f"every file of {then.name} is whole, and every record of its {count} segments"


@task(name="drill set", task_run_name="restore a copy of {then.name}", **ON_UNAVAILABLE)
def drill_set(database: Database, then: Then) -> tuple[WayBack, Phases]:
    """Restore a copy of a set to its point, compare it with what was, promote it, and throw it away.

    Raises Refused when the copy does not come to the point, Unavailable when the disk is full.
    """
    place = DrillPlace(Path(database.backups), then.name, then.service)
    _own(_home(database, then.service), to_programs=True)
    shutil.rmtree(place.copy, ignore_errors=True)  # of a drill that was killed: the fence says that nobody is at it
    seen, phases = go_back(place, database, then)
    return judge_proof(then, seen, database.uncounted), phases


@task(name="read drills", task_run_name="read the drills of {service.name}", **ON_UNAVAILABLE)
def read_drills(service: Service) -> list[Drill]:
    """The history, in its order; a line that was cut off by a death counts as no drill."""
    home = _home_of(service)
    try:
        lines = (home / HISTORY).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Refused(f"{home} cannot be read: {error.strerror}") from None
    return [drill for line in lines if (drill := _read(line))]


@task(name="keep drill", task_run_name="keep the drill of {drill.service}", **ON_UNAVAILABLE)
@spoken
def keep_drill(service: Service, drill: Drill, history: Sequence[Drill]) -> str:
    """Add a drill to the history, once. Raises Unavailable when the disk is full."""
    if any(each.at == drill.at for each in history):
        return f"skipped: the drill of {drill.at:%Y-%m-%d %H:%M:%S} is kept"
    own = _own(_home_of(service), to_programs=service.database is not None)
    line = b"\n" + _line.dump_json(drill) + b"\n"  # the first ends a line that was cut off
    try:
        descriptor = os.open(own / HISTORY, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Unavailable(f"{own / HISTORY} cannot be written: {error.strerror}; make room there") from None
    return f"kept the drill of {drill.service}: {drill.finding}"


def _home(database: Database, service: str) -> Path:
    return Path(database.backups) / "drills" / service


def _home_of(service: Service) -> Path:
    """Where its history is: beside its sets, or in the archive where somebody else keeps the backups."""
    if service.database is not None:
        return _home(service.database, service.name)
    return read_settings().archive / "drills" / service.name


def _own(home: Path, *, to_programs: bool) -> Path:
    """The service's place, made if need be; with `to_programs` their user may enter it."""
    try:
        for directory in (home.parent, home):
            if not directory.is_dir():
                directory.mkdir(mode=0o700, parents=not to_programs, exist_ok=True)
                if to_programs:
                    give(directory)
    except OSError as error:
        raise Unavailable(f"{home} cannot be written: {error.strerror}; make room there") from None
    return home


def _read(line: bytes) -> Drill | None:
    try:
        return _line.validate_json(line)
    except ValidationError:
        return None
