"""Read and act on databases that AWS runs: RDS instances and Aurora clusters."""

from tasks.rds.drilling import (
    drop_base,
    drop_clone,
    drop_drill,
    raise_base,
    raise_clone,
    raise_drill,
    read_restorable,
)
from tasks.rds.reading import read_managed, read_three
from tasks.rds.renaming import exchange_names
from tasks.rds.restoring import restore_beside
from tasks.rds.settling import settle_beside
from tasks.rds.snapshots import take_snapshot, wait_until_reached

__all__ = [
    "drop_base",
    "drop_clone",
    "drop_drill",
    "exchange_names",
    "raise_base",
    "raise_clone",
    "raise_drill",
    "read_managed",
    "read_restorable",
    "read_three",
    "restore_beside",
    "settle_beside",
    "take_snapshot",
    "wait_until_reached",
]
