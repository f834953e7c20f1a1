"""Which settings of a damaged database a restored one gets, by which call, and what of them came out otherwise.

RDS restores with the default security group, parameter group and subnet group, and without monitoring, unless it is
told each. Pure: names and values, no client.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from recovery.rds import DRILLED, RESTORED_TO, ROLE, Managed, Value

Parameters = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Carried:
    """By which parameter of which call a setting is carried over; None: that call does not take it."""

    restore: str | None = None
    modify: str | None = None
    create: str | None = None  # of CreateDBInstance, for an instance of a cluster


@dataclass(frozen=True, slots=True)
class Table:
    """Every field of a description: carried over, compared alone, or left with the reason why."""

    carried: Mapping[str, Carried]
    compared: Mapping[str, str]
    left: Mapping[str, str]


PERFORMANCE = ("PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod")
STRIPED = 400  # GiB from which PostgreSQL's gp3 takes IOPS and throughput; below, RDS refuses even its own defaults


def restoring(table: Table, damaged: Managed, point: str) -> tuple[Parameters, dict[str, str]]:
    """The parameters of the restore, and its tags: the damaged one's, and the one by which we know it again."""
    found = {
        how.restore: damaged.settings[name]
        for name, how in table.carried.items()
        if how.restore and _is_sent(name, damaged.settings)
    }
    return found, tags_to_carry(damaged) | {RESTORED_TO: point}


def drilling(table: Table, source: Managed, point: str) -> tuple[Parameters, dict[str, str]]:
    """The same for a copy that is thrown away: in one zone, and deletable."""
    found, tags = restoring(table, source, point)
    plain: Parameters = {name: False for name in ("MultiAZ", "DeletionProtection") if name in found}
    return found | plain, tags | {ROLE: DRILLED}


def creating(table: Table, member: Managed) -> Parameters:
    """The parameters of an instance of a restored cluster, after those of its model."""
    return {
        how.create: member.settings[name]
        for name, how in table.carried.items()
        if how.create and _is_sent(name, member.settings)
    }


def mending(table: Table, damaged: Managed, restored: Managed) -> Parameters:
    """What the restored one must be told yet: each setting that differs, as far as a change of it is taken."""
    found: Parameters = {}
    for name, how in table.carried.items():
        if (
            how.modify
            and damaged.settings.get(name) != restored.settings.get(name)
            and _is_sent(name, damaged.settings)
        ):
            found[how.modify] = damaged.settings[name]
    if "MonitoringInterval" in found and damaged.settings.get("MonitoringRoleArn"):
        found["MonitoringRoleArn"] = damaged.settings["MonitoringRoleArn"]  # RDS takes the two together alone
    return found


def differences(table: Table, damaged: Managed, restored: Managed, differing: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Every setting of the restored one that is not the damaged one's, but for those that may differ."""
    wrong = [
        f"{name} is {_said(restored.settings.get(name))} and was {_said(damaged.settings.get(name))}"
        for name in (*table.carried, *table.compared)
        if name not in differing and damaged.settings.get(name) != restored.settings.get(name)
    ]
    if "TagList" not in differing:
        kept, wanted = tags_to_carry(restored), tags_to_carry(damaged)
        wrong += [f"tag {key} is missing or other" for key in sorted(wanted) if kept.get(key) != wanted[key]]
    return tuple(wrong)


def tags_to_carry(seen: Managed) -> dict[str, str]:
    """A database's tags but for AWS's own, which nobody may set, and ours."""
    return {key: value for key, value in seen.tags.items() if not key.startswith("aws:") and key != RESTORED_TO}


def _is_sent(name: str, settings: Mapping[str, Value]) -> bool:
    """Whether RDS takes the parameter for these settings: it refuses some of its own defaults when they are said."""
    value = settings.get(name)
    if value is None or value in ((), ""):
        return False
    if name in ("DBParameterGroups", "OptionGroupMemberships", "DBClusterParameterGroup"):
        return not str(value).startswith("default")  # it gets that of its version by itself
    if name in ("Iops", "StorageThroughput"):
        size = settings.get("AllocatedStorage")
        striped = settings.get("StorageType") == "gp3" and isinstance(size, int) and size >= STRIPED
        return bool(value) and (striped or (name == "Iops" and settings.get("StorageType") in ("io1", "io2")))
    if name in PERFORMANCE:
        return bool(settings.get("PerformanceInsightsEnabled"))
    if name == "MonitoringRoleArn":
        return bool(settings.get("MonitoringInterval"))
    return not (name in ("StorageType", "AllocatedStorage") and value in ("aurora", 1))  # Aurora's own, which none sets


def _said(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return "not set" if value is None else str(value)
