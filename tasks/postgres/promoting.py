"""End the recovery of a server that has paused at its target, at once.

A paused server looks once a second whether it is to be promoted (`recoveryPausesHere`, xlogrecovery.c), and clients are
held back meanwhile. Being told to resume wakes it; at its target nothing is left to replay, so that it ends recovery
either way. Source: PostgreSQL, "Recovery Target", `recovery_target_action`.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from recovery.databases import Database
from recovery.errors import RecoveryError, Refused
from tasks.postgres.connection import as_first_role, session
from tasks.postgres.programs import clean, command, run

POLL_SECONDS = 0.01


def end_recovery(database: Database, data: Path, way: Mapping[str, str], seconds: float) -> None:
    """Promote the paused server in `data` and wait until it takes writes. Raises Refused when it does not."""
    run(command("pg_ctl", "promote", "--silent", "--no-wait", "--pgdata", str(data)), data.parent, clean())
    with suppress(RecoveryError), as_first_role(database, way) as asked:  # where it has woken already, it objects
        asked.rows("SELECT pg_wal_replay_resume()")
    deadline = time.monotonic() + seconds
    try:
        with session(database, way) as asked:
            while asked.value("SELECT pg_is_in_recovery()"):
                if time.monotonic() > deadline:
                    raise Refused(f"it is in recovery still after {seconds:g} s")
                time.sleep(POLL_SECONDS)
    except RecoveryError as error:
        raise Refused(f"the server in {data} was promoted and takes no writes: {error}") from None
