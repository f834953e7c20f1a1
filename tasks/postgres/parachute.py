"""A standby that is made before the point and stops exactly at it: the side that is there when it is needed.

Made from the set's own backup, which is verified by then, so that the primary is read once; it follows by streaming,
and takes from the archive what is not streamed any more.
"""

from prefect import task

from recovery.databases import Database
from recovery.errors import Refused
from recovery.restore_points import RestorePoint
from recovery.sides import Label, Stage, judge_place
from tasks.postgres.building import build, standing_of
from tasks.postgres.connection import environment
from tasks.postgres.damage import look_for_damage
from tasks.postgres.points import recorded
from tasks.postgres.raising import clear_others, free, labels, look, stand, start, take_down
from tasks.postgres.sides import compare
from tasks.postgres.standing import Standing
from tasks.retry import ON_UNAVAILABLE, spoken

FOLLOW_SECONDS = 60.0  # measured: 6 ms to 0.6 s after the point; who has not stopped by then gets the set's own WAL
# What of a conninfo is for one who streams; the password goes into a file that only the server's user reads.
_FOLLOWS = {
    "PGHOST": "host", "PGHOSTADDR": "hostaddr", "PGPORT": "port", "PGUSER": "user", "PGPASSFILE": "passfile",
    "PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey",
    "PGSSLCRL": "sslcrl", "PGCHANNELBINDING": "channel_binding", "PGGSSENCMODE": "gssencmode",
}  # fmt: skip


@task(name="arm parachute", task_run_name="arm the parachute of {service} {version}", **ON_UNAVAILABLE)
@spoken
def arm_parachute(service: str, version: str, database: Database, point: RestorePoint) -> str:
    """Have a standby follow the primary towards a point that is not made yet; skipped where the catalogue wants none.

    Raises Refused when the port is taken or an older side of the service is in use, Unavailable when there is no room.
    """
    if database.restore is None or not database.restore.parachute:
        return "skipped: the catalogue wants no parachute"
    if point.lsn is not None:
        return f"skipped: the point {point.name} is made, its side is raised from the set"
    judge_place(database)
    side = look(database, point.name)
    if side.running:
        return f"skipped: the parachute {point.name} is {side.stage}"
    clear_others(database, service, point.name)
    free(look(database, point.name))
    standing = standing_of(database, point.name)
    if side.stage is not Stage.STOPPED:
        label = Label(service, version, point.name, parachute=True)
        build(database, label, *_following(database, standing))
    start(database, look(database, point.name), FOLLOW_SECONDS)
    return f"the parachute {point.name} follows the primary, on {side.host}:{side.port}"


@task(name="check parachute", **ON_UNAVAILABLE)
@spoken
def check_parachute(database: Database, point: RestorePoint) -> str:
    """Have the parachute paused exactly at the point, cut off from the primary, compared and checked.

    Raises Refused when it is not what was.
    """
    if database.restore is None or not database.restore.parachute:
        return "skipped: the catalogue wants no parachute"
    said = stand(database, recorded(database, point), FOLLOW_SECONDS)
    if look(database, point.name).stage is Stage.PROMOTED:
        raise Refused(f"the side {point.name} was promoted and is no parachute any more: deploy another version")
    way = compare(database, point)
    if not way.proved:
        raise Refused(f"parachute: {way.reason}; drop it, or set `parachute: false`, and run the gate again")
    return f"{said}; compared; {_check_files(database, standing_of(database, point.name))}"


@task(name="pack parachute", task_run_name="pack the parachute of {service} {version}", **ON_UNAVAILABLE)
@spoken
def pack_parachute(service: str, version: str, database: Database) -> str:
    """Take down the parachute of a release that was found healthy; one in use or promoted is left alone, and named."""
    if database.restore is None:
        return "skipped: the catalogue names no place of restored servers"
    said = []
    for label in labels(database):
        if (label.service, label.version) == (service, version):
            try:
                said.append(take_down(database, label.name))
            except Refused as refused:
                said.append(f"left alone: {refused}")
    return "; ".join(said) or f"skipped: there is no parachute of {service} {version}"


def _following(database: Database, standing: Standing) -> tuple[dict[str, str], str]:
    """How it reaches the primary, and the text of its password file."""
    given = environment(database)
    conninfo = {keyword: given[variable] for variable, keyword in _FOLLOWS.items() if variable in given}
    conninfo["application_name"] = "ripcord parachute"
    password = given.get("PGPASSWORD")
    if password is not None:
        conninfo["passfile"] = str(standing.place / "passfile")
    quoted = " ".join(f"{keyword}='{_escaped(value, chr(39))}'" for keyword, value in conninfo.items())
    return {"primary_conninfo": quoted}, f"*:*:*:*:{_escaped(password or '', ':')}\n"


def _escaped(text: str, sign: str) -> str:
    return text.replace("\\", "\\\\").replace(sign, f"\\{sign}")


def _check_files(database: Database, standing: Standing) -> str:
    """Look for damage; says that it was looked for, or why not. Raises Refused naming what was found."""
    damage, said = look_for_damage(database, standing.way, standing.place, writable=False)
    if damage:
        raise Refused(f"parachute: {damage}; look at the set and the server")
    return said
