"""The answer of a gate, whoever runs the database: a yes or a no on the tag's commit."""

from collections.abc import Callable
from contextlib import suppress

from flows.foretelling import look_ahead
from recovery.catalog import Service
from recovery.cnpg_catalog import Cnpg
from recovery.databases import Database
from recovery.errors import RecoveryError, Refused, Unavailable
from recovery.gates import STATUS_CONTEXT, describe, foretold, judge_unproved, show_way, state_of
from recovery.outlooks import Ahead
from recovery.rds_catalog import Rds
from recovery.restore_points import WayBack
from tasks.artifacts import show
from tasks.git import read_taken_back
from tasks.github import write_status


def say_yes_or_no(
    entry: Service, version: str, database: Database | Rds | Cnpg, prove: Callable[[Ahead], WayBack]
) -> WayBack:
    """Prove a way back, and say what came of it where the pipeline and people look, and what a recovery would be.

    A refusal stands on the tag's commit before it is raised, unless the catalogue allows it unproved.
    """
    ahead = look_ahead(entry, version)
    try:
        way = prove(ahead)
    except (Refused, Unavailable) as error:
        allowed = judge_unproved(database, error, taken_back(entry, version))
        if allowed is None:
            with suppress(RecoveryError):  # a Git host that does not answer must not hide why
                write_status(entry, version, state_of(error), str(error), STATUS_CONTEXT, anew=True)
            raise
        way = allowed
    way = foretold(way, ahead)
    write_status(entry, version, state_of(way), describe(way), STATUS_CONTEXT, anew=True)
    show(f"gate-{entry.name}-{version}", show_way(entry.name, version, way), way.sentence)
    return way


def taken_back(entry: Service, version: str) -> str | None:
    """The release that this one takes back; None, too, where the Git host does not answer."""
    with suppress(RecoveryError):
        return read_taken_back(entry, version)
    return None
