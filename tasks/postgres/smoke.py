"""Ask the questions that only a sound database answers rightly."""

from collections.abc import Mapping

from recovery.databases import Smoke
from recovery.errors import Refused, Unavailable
from recovery.rds_catalog import Questioned, Reached
from tasks.postgres.connection import Session, session
from tasks.postgres.reading import LOCK_SECONDS


def ask_smoke(
    database: Questioned, way: Mapping[str, str] | None = None, *, silence_is_wrong: bool = False
) -> tuple[str, ...]:
    """What is answered wrongly, in sentences; `way` leads to a copy.

    Raises Unavailable when nobody answers, unless that is a wrong answer, too: of a copy that nobody else uses.
    """
    return tuple(wrong for each in database.smoke if (wrong := _ask(database, way, each, silence_is_wrong)))


def _ask(database: Reached, way: Mapping[str, str] | None, smoke: Smoke, silence_is_wrong: bool) -> str | None:
    try:
        with session(database, way) as asked, asked.transaction():
            asked.rows("SET TRANSACTION READ ONLY")
            asked.rows(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            return _answered(asked, smoke)
    except (Refused, Unavailable) as error:
        if isinstance(error, Unavailable) and not silence_is_wrong:
            raise
        return f"smoke query {smoke.sql!r} was not answered: {error}"


def _answered(asked: Session, smoke: Smoke) -> str | None:
    rows = asked.rows(smoke.sql)
    if not rows:
        return f"smoke query {smoke.sql!r} returned no row"
    first = rows[0][0]
    seen = str(first).lower() if isinstance(first, bool) else str(first)
    if smoke.equals is not None and seen != smoke.equals:
        return f"smoke query {smoke.sql!r} returned {seen} and not {smoke.equals}"
    return None
