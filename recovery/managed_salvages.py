"""Which databases a salvage is about where AWS or CloudNativePG runs them, or why there is nothing to salvage.

Pure: what RDS and the API server said arrives as an argument.
"""

from collections.abc import Sequence

from recovery.cnpg import Clustered, CnpgPoint
from recovery.cnpg_plans import Led, Pair, restored_name
from recovery.errors import Refused
from recovery.rds import AVAILABLE, Managed, TimedPoint, names_of
from recovery.rds_gates import P, newest_of
from recovery.rds_plans import Three
from recovery.restore_points import WayBack


def choose_parted(service: str, version: str, points: Sequence[P]) -> P:
    """The point of a release that its database was restored to; later releases may have points of their own by now.

    Raises Refused when none is kept.
    """
    found = newest_of(version, points)
    if found is None:
        raise Refused(f"no point of {service} {version} is kept: look into `points` of the archive")
    return found


def judge_exchanged(point: TimedPoint, three: Three) -> tuple[Managed, Managed]:
    """The damaged database and the restored one. Raises Refused when the names were not exchanged, or one is gone."""
    names = names_of(point.identifier, point.version, point.attempt)
    final, damaged = three.final, three.damaged
    if final is None or final.restored_to != point.name:
        raise Refused(f"{names.final} was not restored to {point.name}: restore it first, then run salvage again")
    if damaged is None or damaged.resource != point.resource:
        raise Refused(
            f"{names.damaged} is not there any more, and with it went what was written after {point.name}: restore "
            f"its final snapshot under this name, and compare by hand"
        )
    for each in (final, damaged):
        if each.status != AVAILABLE or not each.host:
            raise Refused(f"{each.identifier} is {each.status}: wait until it is available, or start it")
    return damaged, final


def judge_led(point: CnpgPoint, pair: Pair, led: Led) -> Clustered:
    """The damaged Cluster. Raises Refused when clients are not led to the restored one, or the damaged one is gone."""
    restored, damaged = restored_name(point), pair.damaged
    if pair.restored is None or pair.restored.restored_to != point.name or not led.restored:
        raise Refused(
            f"{led.way} does not lead to {restored}, restored to {point.name}: restore it first, then run salvage again"
        )
    if damaged is None or damaged.uid != point.uid:
        raise Refused(f"{point.cluster} is not there any more, and with it went what was written after {point.name}")
    return damaged


def judge_base(proof: WayBack) -> str:
    """Raises Refused when the copy to compare with is not what was at the point: every difference would be doubtful."""
    if not proof.proved:
        raise Refused(f"{proof.reason}: nothing can be compared with it, look at it")
    return proof.reason
