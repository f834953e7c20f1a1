"""Keep a restored server from handing out numbers that the damaged one handed out after the point.

Else a customer's new order would get the number of one that the salvage is to bring back.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from prefect import task

from recovery.databases import Database
from recovery.errors import RecoveryError
from recovery.restore_points import RestorePoint
from recovery.restores import Begun, Counter, move_past
from tasks.postgres.building import standing_of
from tasks.postgres.connection import Session, as_first_role, session
from tasks.postgres.notes import read_note
from tasks.postgres.raising import begun_file
from tasks.retry import LOOKING_AGAIN, spoken

_COUNTERS = """
SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value::numeric - increment_by)::text,
       increment_by::text, min_value::text, max_value::text
FROM pg_sequences WHERE NOT cycle AND schemaname <> 'ripcord' ORDER BY 1
"""


@contextmanager
def reading_numbers(database: Database) -> Iterator[Session | None]:
    """A session that stays while its database is closed to all others; None where there is no way in any more."""
    with ExitStack() as stack:
        asked = None
        with suppress(RecoveryError):
            asked = stack.enter_context(session(database))
        yield asked


def read_numbers(asked: Session | None) -> Mapping[str, int] | None:
    """The last value of each sequence of the damaged database; None where it cannot be read any more."""
    with suppress(RecoveryError):
        return {name: counter.last for name, counter in read_counters(asked).items()} if asked else None
    return None


@task(name="move sequences", **LOOKING_AGAIN)
@spoken
def move_sequences(database: Database, point: RestorePoint) -> str:
    """Move each sequence of the restored server past what the damaged one has handed out.

    Never raises: the clients are held back meanwhile, and to let them go is worth more. What was not done is said.
    """
    begun = read_note(begun_file(database, point.name), Begun)
    if begun is None or not begun.numbers:
        return "sequences were not moved, the damaged server did not say theirs: numbers may be given out again"
    standing = standing_of(database, point.name)
    try:
        with as_first_role(database, standing.way) as asked:  # to whom every sequence is open
            moved = [
                name for name, counter in read_counters(asked).items() if move(asked, name, counter, begun.numbers)
            ]
    except RecoveryError as error:
        return f"sequences were not moved ({error}): numbers may be given out again"
    return f"moved {len(moved)} sequences past what was handed out since the point" if moved else "skipped: no sequence"


def move(asked: Session, name: str, counter: Counter, numbers: Mapping[str, int]) -> bool:
    wanted = move_past(counter, numbers.get(name))
    if wanted is None:
        return False
    asked.rows("SELECT setval(%s::regclass, %s::bigint)", name, wanted)
    return True


def read_counters(asked: Session) -> dict[str, Counter]:
    rows = asked.rows(_COUNTERS)
    return {str(name): Counter(int(last), int(step), int(low), int(high)) for name, last, step, low, high in rows}
