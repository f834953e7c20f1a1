"""Find what was written after the point of a restore, and take back of it what a person picks."""

from tasks.postgres.salvage.applying import apply_salvage, read_applied, read_back
from tasks.postgres.salvage.exports import read_export, write_export
from tasks.postgres.salvage.servers import find_point, read_servers

__all__ = [
    "apply_salvage",
    "find_point",
    "read_applied",
    "read_back",
    "read_export",
    "read_servers",
    "write_export",
]
