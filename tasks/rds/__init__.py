"""Read and act on databases that AWS runs: RDS instances and Aurora clusters."""

from tasks.rds.reading import read_managed, read_three
from tasks.rds.renaming import exchange_names
from tasks.rds.restoring import restore_beside
from tasks.rds.settling import settle_beside
from tasks.rds.snapshots import take_snapshot, wait_until_reached

__all__ = [
    "exchange_names",
    "read_managed",
    "read_three",
    "restore_beside",
    "settle_beside",
    "take_snapshot",
    "wait_until_reached",
]
