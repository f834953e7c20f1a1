"""A small pool of connections to PostgreSQL."""

import queue
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

Connection = psycopg.Connection[tuple[Any, ...]]

IDLE = 8


class Database:
    """Hands out connections with autocommit off; what its borrower did not commit is rolled back.

    At most 8 are kept idle. A connection that the server has ended meanwhile (a restart, a cutover) is
    replaced before its next use instead of failing a customer.
    """

    def __init__(self, dsn: str, application: str) -> None:
        self._dsn = dsn
        self._application = application
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue(IDLE)

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for the time of the block. Raises psycopg.OperationalError when there is none."""
        db = self._take()
        try:
            yield db
        finally:
            self._give_back(db)

    def _take(self) -> Connection:
        while True:
            try:
                db = self._idle.get_nowait()
            except queue.Empty:
                # A pooler hands each transaction to another session, where a statement prepared before is not known.
                return psycopg.connect(
                    self._dsn, connect_timeout=2, application_name=self._application, prepare_threshold=None
                )
            if not _ended(db):
                return db
            db.close()

    def _give_back(self, db: Connection) -> None:
        try:
            if db.info.transaction_status != TransactionStatus.IDLE:
                db.rollback()
            self._idle.put_nowait(db)
        except (psycopg.Error, queue.Full):
            db.close()


def _ended(db: Connection) -> bool:
    # The server says nothing to an idle connection but that it ends it.
    if db.closed:
        return True
    poll = select.poll()
    poll.register(db.fileno(), select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))
