"""Whether a set still is what its gate has proved, and what else there is to go back to where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass

from recovery.backups import parse_lsn
from recovery.errors import Refused
from recovery.restore_points import Then


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at of a set, right before a server is made of it."""

    said: str
    damage: str | None = None  # the first file or segment that is not what was proved, in the engine's own words


def judge_checked(name: str, checked: Checked, otherwise: str) -> str:
    """What was looked at, where nothing was found. Raises Refused naming the damage, and `otherwise` as the way out."""
    if checked.damage:
        raise Refused(
            f"the set {name} does not pass the check any more that it passed at its gate: {checked.damage}; "
            f"nothing was restored from it and it is left as it is: {otherwise}"
        )
    return checked.said


def other_way(then: Then, proved: Sequence[Then], directory: str) -> str:
    """What a person does whose set is damaged: the newest older one of the same history, or none of ours.

    A set of a later release is in the way of an older one, so that the damaged one is to be moved away first.
    """
    history = (then.service, then.system_id, then.timeline)
    same = [each for each in proved if (each.service, each.system_id, each.timeline) == history]
    older = [each for each in same if parse_lsn(each.lsn) < parse_lsn(then.lsn)]
    newest = max(older, key=lambda each: parse_lsn(each.lsn), default=None)
    if newest is None:
        return (
            "no older set of this server is there, so mend the database forwards (ripcord fix-forward), or have a "
            "person restore from a backup of another kind"
        )
    return (
        f"the next older one is {newest.name}, made {newest.made_at:%Y-%m-%d %H:%M:%S}: move {directory}/{then.name} "
        f"away and restore {newest.version}, which loses what was written in between, too"
    )
