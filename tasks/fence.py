"""One at a time per service, its cluster and its source each for itself: session-level advisory locks in PostgreSQL.

A lock lives as long as the process's connection, so it answers two questions that Prefect's states cannot:
whether the process of a run is still alive (pg_stat_activity names it), and whether a run that was declared
dead may still act (then the next one waits). Source: PostgreSQL documentation, 13.3.5 Advisory Locks.
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import httpx
import psycopg
from prefect import get_run_logger, runtime
from prefect.exceptions import PrefectHTTPStatusError

from recovery.errors import Unavailable
from tasks.settings import read_settings

NAME = "ripcord run "
BEAT_SECONDS = 5.0
RETAKE_BEATS = 3  # a server younger than this may have forgotten a holder that is still at work
# A host that vanishes without closing its connections is noticed by the server within some 15 s.
_SESSION = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 -c idle_session_timeout=0"


class LostServer(BaseException):
    """Prefect's server is away, which is no failure of a recovery, and so no Exception.

    To Prefect's engine it is a crash: nobody is woken, and the monitor revives the run as it does one whose process
    died. Prefect's client asks again only where it had reached the server before, and a subflow begins with a new one.
    """


_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


@contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Hold the lock of a service, or of a part of it, for the block, waiting for its holder; a no-op inside itself.

    Raises Unavailable when PostgreSQL does not answer, LostServer when Prefect's server does not within the block.
    """
    with _crashing_without_server(), _held_alone(what):
        yield


@contextmanager
def under_way() -> Iterator[None]:
    """Show the run alive for the block without keeping anybody out; the locks within come and go.

    Raises as `one_at_a_time` does.
    """
    url = read_settings().lock_url.get_secret_value()
    with _crashing_without_server():
        session = _Session(url, None, f"{NAME}{runtime.flow_run.id}") if url else None
        try:
            yield
        finally:
            if session:
                session.close()


@contextmanager
def _crashing_without_server() -> Iterator[None]:
    """Other systems' silence is Unavailable by then: what is left of HTTP's errors is of Prefect's own client."""
    try:
        yield
    except httpx.TransportError as error:
        raise LostServer(str(error)) from error
    except PrefectHTTPStatusError as error:
        if not error.response.is_server_error:
            raise
        raise LostServer(str(error)) from error


@contextmanager
def _held_alone(what: str) -> Iterator[None]:
    url = read_settings().lock_url.get_secret_value()
    if what in _held.get() or not url:
        if not url:
            get_run_logger().warning("RIPCORD_LOCK_URL is not set: two runs of one service are not fenced")
        yield
        return
    session = _Session(url, what, f"{NAME}{runtime.flow_run.id}")
    token = _held.set(_held.get() | {what})
    try:
        yield
    finally:
        _held.reset(token)
        session.close()


def alive_runs() -> set[str] | None:
    """Ids of the flow runs whose process is under way, holds or awaits a lock; None when there is no fence to ask."""
    url = read_settings().lock_url.get_secret_value()
    if not url:
        return None
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            rows = connection.execute(
                "SELECT application_name FROM pg_stat_activity WHERE application_name LIKE %s", (f"{NAME}%",)
            ).fetchall()
    except psycopg.Error as error:
        raise Unavailable(f"the lock database did not answer: {_short(error)}") from error
    return {str(row[0]).removeprefix(NAME) for row in rows}


class _Session:
    """A connection that holds the lock, and takes it again should the server be restarted under it.

    Without anything to lock it is there, and no more.
    """

    def __init__(self, url: str, what: str | None, name: str) -> None:
        self._url, self._name, self._key = url, name[:63], lock_key(what) if what else None
        self._over = threading.Event()
        try:
            self._connection = self._connect()
            self._take()
        except psycopg.Error as error:
            raise Unavailable(f"the lock database did not answer: {_short(error)}") from error
        self._thread = threading.Thread(target=self._beat, daemon=True, name=f"fence of {what or name}")
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join(timeout=1)  # it closes what it was just opening, else the run would look alive
        self._end()

    def _take(self) -> None:
        """Wait for the lock; after a restart of the server its last holder goes first, who is taking it again."""
        while self._key is not None:
            self._connection.execute("SELECT pg_advisory_lock(%s)", (self._key,))
            row = self._connection.execute(
                "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float"
            ).fetchone()
            early = RETAKE_BEATS * BEAT_SECONDS - (float(str(row[0])) if row else 0.0)
            if early <= 0:
                return
            self._connection.execute("SELECT pg_advisory_unlock(%s)", (self._key,))
            time.sleep(early)

    def _end(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            self._url, application_name=self._name, options=_SESSION, connect_timeout=5, autocommit=True
        )

    def _beat(self) -> None:
        held = True
        while not self._over.wait(BEAT_SECONDS):
            with suppress(psycopg.Error):
                held = self._still_there() if held else self._retake()
        self._end()

    def _still_there(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            return self._retake()
        return True

    def _retake(self) -> bool:
        """Try, never wait: a wait could outlast the block, and then keep the lock as long as the process lives."""
        if self._connection.closed:
            self._connection = self._connect()
        if self._key is None:
            return True
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,)).fetchone()
        return bool(row and row[0])


def lock_key(what: str) -> int:
    """The advisory lock's number: 63 bits of a digest, so that services do not collide."""
    return int.from_bytes(hashlib.sha256(f"ripcord/{what}".encode()).digest()[:8], "big") >> 1


def _short(error: BaseException) -> str:
    # psycopg names host and user, never the password; one line is enough for a message.
    return " ".join(str(error).split())[:200]
