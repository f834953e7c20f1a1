"""What the gate answers, in the words of a status and of an artifact."""

import re
from dataclasses import replace

from recovery.backups import Server
from recovery.catalog import Service
from recovery.cnpg_catalog import Cnpg
from recovery.databases import Database
from recovery.durations import show_duration
from recovery.errors import Refused, Unavailable
from recovery.outlooks import Ahead, judge_outlook
from recovery.rds_catalog import Rds
from recovery.restore_points import Choice, WayBack

STATUS_CONTEXT = "ripcord/gate"


def database_of(service: Service) -> Database:
    """The service's database. Raises Refused when the catalogue names none: a gate that checks nothing says no yes."""
    if service.database is None:
        raise Refused(f"the catalogue names no database of {service.name}: add `database`, or leave the gate out")
    return service.database


def judge_unproved(
    database: Database | Rds | Cnpg, error: Refused | Unavailable, takes_back: str | None = None
) -> WayBack | None:
    """What a failed proof means for the deployment: None, it is refused, unless the catalogue allows it unproved.

    A release that only takes another one back is never kept from being deployed: the database may be the very thing
    that is damaged.
    """
    if takes_back:
        return WayBack(False, f"unproved, and let through because it takes {takes_back} back: {error}")
    if not database.allow_unproved or isinstance(error, Unavailable):
        return None
    return WayBack(False, f"unproved, which the catalogue allows: {error}")


def state_of(answer: WayBack | Refused | Unavailable) -> str:
    """The state of the commit status for an answer."""
    if isinstance(answer, WayBack):
        return "success"
    return "failure" if isinstance(answer, Refused) else "error"


def foretold(way: WayBack, ahead: Ahead) -> WayBack:
    """With what a recovery would be; what a copy has shown stays."""
    return way if way.outlook else replace(way, outlook=judge_outlook(ahead))


def describe(way: WayBack) -> str:
    """The sentence of the commit status, which is short: what a recovery would be stands before the numbers."""
    return f"{way.outlook.shortly}. {way.reason}" if way.outlook and way.outlook.recovery else way.reason


def show_gate(service: str, version: str, database: Database, choice: Choice, server: Server, said: str) -> str:
    """The plan of a gate."""
    verb = "Found" if choice.there else "To be made"
    return (
        f"# Way back to before {service} {_plain(version)}\n\n{_plain(said)}.\n\n"
        f"{verb}: `{choice.point.name}`, {_plain(choice.reason)}.\n\n"
        f"1. base backup of {server.size // 1_000_000} MB into `{database.backups}`, every file verified\n"
        f"2. the server's settings kept{_parachute(database)}; restore point and marker commit; its WAL archived, "
        f"checked record by record, copied into the set\n"
        f"3. a copy restored to the point, compared, asked {len(database.smoke)} smoke queries, promoted, removed\n\n"
        f"The set is locked for {show_duration(database.locked)}.\n"
    )


def show_way(service: str, version: str, way: WayBack) -> str:
    """The answer of a gate."""
    head = "proved" if way.proved else "NOT proved"
    forecast = f"\n\nForecast of a cold restore: {way.seconds:.1f} s.\n" if way.seconds is not None else "\n"
    outlook = f"\n## The version before\n\n{_plain(way.outlook.reason)}.\n" if way.outlook else ""
    return f"# {service} {_plain(version)}: way back {head}\n\n{_plain(way.reason)}.{forecast}{outlook}"


def _parachute(database: Database) -> str:
    if database.restore is None or not database.restore.parachute:
        return ""
    return f"; a standby armed on port {database.restore.port} that stops at the point and stays"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_~\[\]<>|#])", r"\\\1", " ".join(text.split()))
