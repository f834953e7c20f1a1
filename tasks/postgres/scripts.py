"""Run a fix in one transaction, the same on the clone and in production. Vendor types do not leave this file."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg

from recovery.errors import Refused
from recovery.fix_scripts import Script, Step
from recovery.fixes import LOCK_TIMEOUT, LONGEST, REGISTER, Change, Held, strongest
from tasks.postgres.connection import Session
from tasks.postgres.schemas import read_schema, read_unsound

IDLE = timedelta(seconds=10)  # between two of our statements, before the server takes us for dead and lets go
_TABLE = f"""
CREATE TABLE {REGISTER} (
    service text, digest text, version text NOT NULL, role text NOT NULL DEFAULT current_user,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (service, digest)
)
"""
_RELATIONS = """
SELECT pg_class.oid, format('%I.%I', nspname, relname), relkind::text, pg_relation_filenode(pg_class.oid)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'm', 'f') AND nspname NOT IN ('pg_catalog', 'information_schema', 'ripcord')
  AND nspname !~ '^pg_(toast|temp)'
"""
_LOCKS = (
    "SELECT relation::bigint, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted"
)
_UNNOTICED = ("AccessShareLock", "RowShareLock")  # what every query holds
_CHANGES = """
SELECT relid::bigint, format('%I.%I', schemaname, relname), n_tup_ins, n_tup_upd, n_tup_del
FROM pg_stat_xact_user_tables WHERE schemaname NOT IN ('ripcord') AND n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 2
"""
_GUARDS = """
SELECT current_user = %s, current_setting('lock_timeout')::interval = %s::interval,
       current_setting('statement_timeout')::interval = %s::interval
"""
_LIMITS = ("lock_timeout", "statement_timeout")
_BUSY = ("55P03", "40P01", "40001")  # a lock not had in time, a deadlock, a serialization failure
_LOST = ("57P01", "57P02", "57P03", "25P03")  # shut down, crashed, not up yet, or it has taken us for dead


class StatementFailed(Exception):
    """What PostgreSQL said against a statement, or that it said nothing; caught by the tasks of this package."""

    def __init__(self, error: psycopg.Error, step: Step | None, committing: bool) -> None:
        parts = (error.diag.message_primary, error.diag.message_detail, error.diag.message_hint)
        self.said = " ".join("; ".join(filter(None, parts)).split())[:500] or " ".join(str(error).split())[:300]
        self.primary = " ".join((error.diag.message_primary or self.said).split())[:300]  # no row is quoted in it
        super().__init__(self.said)
        self.state = error.sqlstate or ""
        self.position = int(error.diag.statement_position or 0) or None
        self.step, self.committing = step, committing

    @property
    def busy(self) -> bool:
        """Answer whether somebody else was in the way."""
        return self.state in _BUSY

    @property
    def lost(self) -> bool:
        """Answer whether the server went away, so that it is not known what became of the statement."""
        return not self.state or self.state in _LOST or self.state.startswith("08")

    @property
    def full(self) -> bool:
        """Answer whether the disk is full."""
        return self.state == "53100"


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or materialized view that was there before the fix."""

    oid: int
    name: str
    filenode: int | None


@dataclass(slots=True)
class Done:
    """What a fix has done in its transaction, right before the commit."""

    before: tuple[str, ...]
    relations: Mapping[int, Relation]
    since: dict[int, dict[str, float]] = field(default_factory=dict)  # per table and mode, when it was first held
    after: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    unsound: tuple[str, ...] = ()

    def held(self, until: float) -> tuple[Held, ...]:
        """The strongest lock per table that was there before, and for how long it was held."""
        found = []
        for oid, modes in self.since.items():
            mode = strongest(list(modes))
            found.append(Held(self.relations[oid].name, mode, until - modes[mode]))
        return tuple(sorted(found, key=lambda each: each.table))


def prepare_register(asked: Session) -> None:
    """Make the register of fixes where there is none."""
    if asked.value("SELECT to_regclass(%s)", REGISTER) is not None:
        return
    with asked.transaction():
        # Two at once would both find nothing, and IF NOT EXISTS does not keep the second from failing.
        asked.rows("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", REGISTER)
        if asked.value("SELECT to_regnamespace('ripcord')") is None:
            asked.rows("CREATE SCHEMA ripcord")
        if asked.value("SELECT to_regclass(%s)", REGISTER) is None:
            asked.rows(_TABLE)


def prepare_session(asked: Session, settings: Sequence[tuple[str, str]]) -> None:
    """Give the session the words that the script's meaning hangs on, the same wherever it runs."""
    # Should our host vanish, the server notices within some 15 s, and lets go what we hold.
    asked.rows("SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3")
    asked.rows("SET client_encoding = UTF8; SET standard_conforming_strings = on; SET application_name = 'ripcord fix'")
    for name, value in settings:
        asked.rows("SELECT set_config(%s, %s, false)", name, value)


def run_script(
    asked: Session,
    service: str,
    version: str,
    script: Script,
    entered: Callable[[], None],
    judge: Callable[[Done], None],
) -> Done | None:
    """Run a script in one transaction with its row of the register; None when the row is there, and nothing is done.

    `entered` is called once it is certain that the script was not applied before; `judge` is asked right before the
    commit, and what it raises rolls everything back. Raises StatementFailed.
    """
    role = asked.value("SELECT current_user")
    _send(asked, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    limits = (_milliseconds(LOCK_TIMEOUT), _milliseconds(LONGEST))
    for name, limit in (
        *zip(_LIMITS, limits, strict=True),
        ("idle_in_transaction_session_timeout", _milliseconds(IDLE)),
    ):
        asked.rows("SELECT set_config(%s, %s, true)", name, limit)
    # Who else is at it holds the row's key until he ends: the second one waits for him, and then finds the row.
    if not _send(asked, f"INSERT INTO {REGISTER} (service, digest, version) VALUES (%s, %s, %s) "
                 "ON CONFLICT DO NOTHING RETURNING 1", None, service, script.digest, version):  # fmt: skip
        asked.rows("ROLLBACK")
        return None
    entered()
    done = Done(_read(asked, read_schema), _relations(asked))
    for step in script.steps:
        began = time.monotonic()
        _send(asked, step.text, step)
        _note_locks(asked, done, began)
    _send(asked, "SET CONSTRAINTS ALL IMMEDIATE")
    _check_guards(asked, role, *limits)
    done.after, done.unsound = _read(asked, read_schema), _read(asked, read_unsound)
    done.changes = tuple(
        Change(done.relations[oid].name if oid in done.relations else name, inserted, updated, deleted)
        for oid, name, inserted, updated, deleted in asked.rows(_CHANGES)
    )
    judge(done)
    commit(asked)
    return done


def run_steps(asked: Session, steps: Sequence[Step], *, together: bool) -> None:
    """Run statements whose rows nobody wants, in one transaction or each as it stands. Raises StatementFailed."""
    if together:
        _send(asked, "BEGIN")
    for step in steps:
        try:
            asked.pass_over(step.text)
        except psycopg.Error as error:
            raise StatementFailed(error, step, committing=False) from None
    if together:
        commit(asked)


def commit(asked: Session) -> None:
    """Commit. Raises StatementFailed; where the answer was lost, only the register knows what became of it."""
    _send(asked, "COMMIT", committing=True)


def read_relations(asked: Session) -> dict[int, Relation]:
    """The tables and materialized views that there are."""
    return _relations(asked)


def _milliseconds(duration: timedelta) -> str:
    return f"{duration.total_seconds() * 1000:.0f}ms"


def _relations(asked: Session) -> dict[int, Relation]:
    return {int(oid): Relation(int(oid), name, node) for oid, name, _, node in asked.rows(_RELATIONS)}


def _send(
    asked: Session, statement: str, step: Step | None = None, *values: object, committing: bool = False
) -> list[tuple[object, ...]]:
    try:
        return asked.rows(statement, *values)
    except psycopg.Error as error:
        raise StatementFailed(error, step, committing) from None


def _read(asked: Session, reader: Callable[[Session], tuple[str, ...]]) -> tuple[str, ...]:
    """The catalogue, which a lock of somebody else may keep from us."""
    try:
        return reader(asked)
    except psycopg.OperationalError as error:
        raise StatementFailed(error, None, committing=False) from None


def _note_locks(asked: Session, done: Done, began: float) -> None:
    for oid, mode in asked.rows(_LOCKS):
        if oid in done.relations and mode not in _UNNOTICED:
            done.since.setdefault(oid, {}).setdefault(mode, began)


def _check_guards(asked: Session, *expected: str) -> None:
    """What the text does not show, a block or a function may do. Raises Refused."""
    [(ourselves, *unchanged)] = asked.rows(_GUARDS, *expected)
    if not ourselves:
        raise Refused("the script ends as another role than it began: leave SET ROLE out of its functions")
    if not all(unchanged):
        raise Refused("the script sets lock_timeout or statement_timeout by itself: leave that out of its functions")
