"""The backup of a restored server: not a way back to a point, but what there is until the next gate has made one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from recovery.backups import MARGIN, Backup
from recovery.errors import Refused
from recovery.restore_points import Then

ENDING = "-restored"


@dataclass(frozen=True, slots=True)
class Bridge:
    """The backup of a server that was restored to a point, as its own file tells of it."""

    service: str
    point: str
    system_id: str
    timeline: int
    taken_at: datetime

    @property
    def name(self) -> str:
        """What it is called, and its directory: never what a point is called."""
        return bridge_name(self.point)


def bridge_name(point: str) -> str:
    """The name of the backup of the server restored to a point."""
    return f"{point}{ENDING}"


def judge_bridge_room(free: int, size: int, directory: str) -> None:
    """Raises Refused when it would not fit beside the sets: the archive may be on the same disk."""
    needed = int(size * MARGIN)
    if free < needed:
        raise Refused(
            f"{directory} has {free // 1_000_000} MB free and {needed // 1_000_000} are needed ({MARGIN} x the "
            "database): make room"
        )


def judge_bridge(backup: Backup, system_id: str, timeline: int) -> None:
    """Raises Refused when a backup is not of the restored server, but of the damaged one or of a stranger."""
    if (backup.system_id, backup.timeline) != (system_id, timeline):
        raise Refused(
            f"the backup is of cluster {backup.system_id} on timeline {backup.timeline}, and the restored server is "
            f"{system_id} on {timeline}: move it away, and look where the engine leads"
        )


def plan_bridges(
    bridges: Sequence[Bridge], proved: Sequence[Then], locked: timedelta, now: datetime
) -> tuple[str, ...]:
    """Those that may go: no longer locked, and a point of the restored server was proved."""
    reached = {(each.system_id, each.timeline) for each in proved}
    return tuple(
        each.name for each in bridges if now - each.taken_at > locked and (each.system_id, each.timeline) in reached
    )
