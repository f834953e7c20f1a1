"""The programs that may keep a database's backups and its WAL, behind one interface."""

from recovery.databases import Database
from tasks.postgres.engines.barman import Barman
from tasks.postgres.engines.bucket import InBucket
from tasks.postgres.engines.interface import Engine, Restored
from tasks.postgres.engines.native import Native
from tasks.postgres.engines.pgbackrest import PgBackRest

__all__ = ["Engine", "Restored", "engine_of"]


def engine_of(database: Database) -> Engine:
    """The engine that the catalogue names."""
    if database.barman:
        return Barman(database, database.barman)
    if database.pgbackrest:
        return PgBackRest(database, database.pgbackrest)
    if database.bucket:
        return InBucket(database, database.bucket)
    return Native(database)
