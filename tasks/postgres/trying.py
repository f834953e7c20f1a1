"""Run the migrations of a release on the copy that has proved the way back, and ask what the version before asks.

It is the last use of that copy, and nothing that comes of it is raised: the way back is proved already.
"""

import shutil
import threading
import time
from datetime import timedelta

from recovery.databases import Database
from recovery.durations import show_duration
from recovery.outlooks import Ahead, Trial
from recovery.trials import Migration, NotTried
from tasks.postgres.connection import session
from tasks.postgres.copies import Copy
from tasks.postgres.handing import hand_over
from tasks.postgres.reading import LOCK_SECONDS
from tasks.postgres.scripts import StatementFailed, run_steps
from tasks.postgres.smoke import ask_smoke

POLL_SECONDS = 0.1
GRACE_SECONDS = 30  # the watch comes first, and says why


class Watch:
    """Ends the copy when the time is over, or when half of what was free on its disk is written full.

    A timeout of the server's own a statement may set anew.
    """

    def __init__(self, copy: Copy, limit: timedelta) -> None:
        self._copy, self._limit = copy, limit
        self._over, self._thread = threading.Event(), threading.Thread(target=self._look, daemon=True)
        self._floor = self._free() // 2
        self.why = ""

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise NotTried where the copy was ended: then nothing that it said, or did not say, counts."""
        if self.why:
            raise NotTried(self.why)

    def _free(self) -> int:
        try:
            return shutil.disk_usage(self._copy.data.parent).free
        except OSError:  # a watch that sees nothing lets nothing go on
            return -1

    def _look(self) -> None:
        deadline = time.monotonic() + self._limit.total_seconds()
        while not self._over.wait(POLL_SECONDS):
            if time.monotonic() > deadline:
                self.why = f"their run on a copy was ended after {show_duration(self._limit)}"
            elif self._free() < self._floor:
                self.why = "their run on a copy was ended when it had written half of the free disk"
            if self.why:
                self._copy.end()
                return


def try_ahead(copy: Copy, database: Database, ahead: Ahead) -> Trial | None:
    """What came of the migrations on a promoted copy, as an ordinary role; None where none are to be run.

    Raises nothing.
    """
    if not ahead.files:
        return None
    try:
        with Watch(copy, ahead.limit) as watch:
            try:
                return _tried(copy, database, ahead, watch)
            except Exception:
                watch.check()
                raise
    except NotTried as why:
        return Trial(str(why))
    except Exception as error:
        return Trial(f"their run on a copy did not come to its end: {' '.join(str(error).split())[:300]}")


def _tried(copy: Copy, database: Database, ahead: Ahead, watch: Watch) -> Trial:
    role, seconds = hand_over(database, copy.way), 0.0
    way = copy.way | {"user": role}
    if wrong := ask_smoke(database, way):
        raise NotTried(f"not run on a copy: before any of them, and as {role}, {wrong[0]}")
    for file in ahead.files:
        began = time.monotonic()
        if failed := _run(database, way, file, ahead.limit):
            watch.check()
            return Trial(f"on a copy of the database, as {role}, {failed}: the deployment may fail, too")
        seconds += time.monotonic() - began
        wrong = ask_smoke(database, way)
        watch.check()
        if wrong:
            return Trial("", f"on a copy of the database, after {file.path}, {wrong[0]}")
    asked = "the smoke queries were answered after each" if database.smoke else "there is no smoke query to be asked"
    return Trial(f"run on a copy in {seconds:.1f} s, {asked}")


def _run(database: Database, way: dict[str, str], file: Migration, limit: timedelta) -> str | None:
    """Run one file; what PostgreSQL says against it, without the rows that it quotes, or None."""
    with session(database, way) as asked:
        asked.rows("SET client_encoding = UTF8; SET standard_conforming_strings = on; SET client_min_messages = error")
        asked.rows(f"SET lock_timeout = '{LOCK_SECONDS}s'")
        # Should we be killed, a loop without an end does not notice that its server is dead.
        seconds = limit.total_seconds() + GRACE_SECONDS
        asked.rows(f"SET statement_timeout = '{seconds:.0f}s'; SET client_connection_check_interval = '5s'")
        try:
            run_steps(asked, file.steps, together=file.together)
        except StatementFailed as failed:
            if failed.lost or failed.full:
                raise
            line = failed.step.line_at(failed.position) if failed.step else None
            return f"{file.path} fails{f' on line {line}' if line else ' at its end'}: {failed.primary}"
    return None
