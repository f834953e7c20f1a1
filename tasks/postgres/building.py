"""Make a side from the set of a point: a copy of its backup under one roof with its WAL and its configuration.

It appears by one rename. All of its configuration lies in its data directory, so that `pg_ctl -D` starts it by hand.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from recovery.databases import Database
from recovery.errors import Refused, Unavailable
from recovery.side_settings import RULES_WHEN_UNKNOWN, Kept, named_files, settings_of_side, show_settings
from recovery.sides import Label, restore_of
from tasks.postgres.engines import engine_of
from tasks.postgres.notes import write_closed, write_note
from tasks.postgres.places import Place, place_of
from tasks.postgres.programs import give, helper, run
from tasks.postgres.settings_kept import read_kept
from tasks.postgres.standing import Standing, control_of, remove

_INCLUDES = "".join(f"include_if_exists = 'side.{name}.conf'\n" for name in ("own", "recovery", "archive"))
OUR_RULE = "local all,replication all trust\n"  # the directory of its socket lets nobody else in
_ARCHIVE_LIBRARY_SINCE = 15


def standing_of(database: Database, name: str) -> Standing:
    """Where the side of a point lives."""
    restore = restore_of(database)
    return Standing(Path(restore.sides, name), Path(restore.sides, f".port-{restore.port}"))


def part_of(standing: Standing) -> Path:
    """Where a side is while it is not whole."""
    return standing.place.with_name(f".{standing.place.name}.part")


def label_file(standing: Standing) -> Path:
    """The file that says what a side is; it is there as soon as the side is."""
    return standing.place / "side.json"


def build(database: Database, label: Label, following: Mapping[str, str] | None = None, passfile: str = "") -> None:
    """Copy the set into a side that is not started yet; with `following`, one that streams towards its point.

    Raises Unavailable when there is no room, and nothing of it is kept; Refused when the set is not whole.
    """
    place, standing = place_of(database, label.name), standing_of(database, label.name)
    part = part_of(standing)
    _look_at(database, place, standing, chain=following is None)
    with _kept_whole_or_not_at_all(part):
        part.mkdir(mode=0o700)
        give(part)
        engine_of(database).lay(place, part / "data")
        _empty_wal(part / "data")
        configure(database, place, standing, part / "data")
        if following is None:
            take_chain(place, part)
            recover(part / "data", standing, database, label.name)
        else:
            write_closed(part / "passfile", passfile)
            follow(part / "data", database, label.name, following)
        write_note(part / "side.json", label)
        # Its server makes its files durable only at the next start, which after a power cut would not know of this one.
        run(helper("sync", "--file-system", str(part)), part)
        part.rename(standing.place)


def recover(data: Path, standing: Standing, database: Database, name: str) -> None:
    """Have it come to its point by the set's own WAL alone, or end: nothing is waited for, no primary is asked.

    Of the archive it sees which timelines are taken, so that its promotion takes one that nobody has: the server of
    another service may have been restored beside the same primary, and archives there.
    """
    taken = f"case %f in *.history) {engine_of(database).fetching()};; *) false;; esac"
    _target(data, name, {"restore_command": f"cp {standing.place}/wal/%f %p || {taken}"})
    _signal(data / "recovery.signal")
    (data / "standby.signal").unlink(missing_ok=True)


def follow(data: Path, database: Database, name: str, following: Mapping[str, str]) -> None:
    """Have it follow the primary to a point that is to come; what is not streamed any more is in the archive.

    It has no slot: that of a standby which was forgotten would fill the primary's disk.
    """
    fallback = {"restore_command": engine_of(database).fetching(), "wal_retrieve_retry_interval": "500ms"}
    _target(data, name, {**following, **fallback, "hot_standby_feedback": "off"})
    _signal(data / "standby.signal")


def take_chain(place: Place, into: Path) -> None:
    """Copy the set's WAL beside the data: the set may expire while the side stands."""
    fresh = into / ".wal.part"
    shutil.rmtree(fresh, ignore_errors=True)
    if not (into / "wal").is_dir():
        _copy(place.wal, fresh)
        fresh.rename(into / "wal")


def configure(database: Database, place: Place, standing: Standing, data: Path) -> None:
    """Write its configuration: the original's settings and rules, then its own."""
    kept = read_kept(place) or _none_kept()
    first = show_settings(settings_of_side(kept, control_of(data), _there(kept, data)))
    if read_kept(place) is None:
        first = _what_the_backup_has(data) + first
    rules = kept.rules if kept.rules is not None else _text(data / "pg_hba.conf")
    names = kept.names if kept.names is not None else _text(data / "pg_ident.conf")
    write_closed(data / "postgresql.auto.conf", "")
    write_closed(data / "postgresql.conf", f"# as on the original\n{first}\n{_INCLUDES}")
    write_closed(data / "pg_hba.conf", OUR_RULE + (rules if rules is not None else RULES_WHEN_UNKNOWN))
    write_closed(data / "pg_ident.conf", names or "")


def _none_kept() -> Kept:
    return Kept({}, "", "", None, None)


def _what_the_backup_has(data: Path) -> str:
    """Put the original's files aside, where it had them in its data directory, and read them first."""
    lines = ""
    for name in ("postgresql.conf", "postgresql.auto.conf"):
        text = _text(data / name)
        if text is not None:
            write_closed(data / f"original.{name}", text)
            lines += f"include = 'original.{name}'\n"
    return lines


def set_own(database: Database, standing: Standing) -> None:
    """Write the settings that are the side's own and none of the original's; before each start, for they may change."""
    restore, data = restore_of(database), standing.place / "data"
    version = int((data / "PG_VERSION").read_text())
    own = show_settings(
        {
            "data_directory": str(data),
            "hba_file": str(data / "pg_hba.conf"),
            "ident_file": str(data / "pg_ident.conf"),
            "external_pid_file": "",
            "listen_addresses": restore.host,
            "port": str(restore.port),
            "unix_socket_directories": str(standing.sockets),
            "unix_socket_group": "",
            "logging_collector": "off",
            "log_destination": "stderr",
            "hot_standby": "on",
            # It would write its timeline into the real archive; without a command it keeps its WAL until it has one.
            "archive_mode": "on",
            "archive_command": "",
            **({"archive_library": ""} if version >= _ARCHIVE_LIBRARY_SINCE else {}),
            "synchronous_standby_names": "",
            "primary_conninfo": "",
            "primary_slot_name": "",
        }
    )
    write_closed(data / "side.own.conf", own)


def _target(data: Path, name: str, ways: Mapping[str, str]) -> None:
    target = {"name": name, "timeline": "current", "action": "pause"}
    settings = {**ways, **{f"recovery_target_{key}": value for key, value in target.items()}}
    write_closed(data / "side.recovery.conf", f"# read in recovery only\n{show_settings(settings)}")


def _signal(path: Path) -> None:
    path.touch(mode=0o600)
    give(path)


def _there(kept: Kept, data: Path) -> dict[str, bool]:
    return {name: (data / name).is_file() for name in named_files(kept)}


def _text(path: Path) -> str | None:
    return path.read_text(errors="surrogateescape") if path.is_file() else None


def _look_at(database: Database, place: Place, standing: Standing, *, chain: bool) -> None:
    """Raises Refused when the set lacks a part, Unavailable when there is less room than it has bytes."""
    sides = standing.place.parent
    if not sides.is_dir():
        raise Refused(f"{sides} is not there: make it, owned by the user of PostgreSQL's programs")
    engine = engine_of(database)
    if not place.set.is_dir() or not engine.has_backup(place) or (chain and not place.wal.is_dir()):
        raise Refused(f"the set {place.set} is not whole, it has no backup or no WAL: choose another point")
    needed = engine.size(place)
    free = shutil.disk_usage(sides).free
    if free < needed:
        raise Unavailable(f"{sides} has {free // 1_000_000} MB free and {needed // 1_000_000} are needed: make room")


def _copy(source: Path, target: Path) -> None:
    run(helper("cp", "--archive", "--reflink=auto", str(source), str(target)), target.parent)


def _empty_wal(data: Path) -> None:
    """Leave no WAL that was not checked, and nothing that would start another way than it is told to."""
    shutil.rmtree(data / "pg_wal")
    (data / "pg_wal").mkdir(mode=0o700)
    give(data / "pg_wal")
    # The original may have been a side itself: this one must not archive before it is told to.
    for name in ("recovery.signal", "standby.signal", "postmaster.pid", "side.archive.conf"):
        (data / name).unlink(missing_ok=True)


@contextmanager
def _kept_whole_or_not_at_all(part: Path) -> Iterator[None]:
    for left in (part, *part.parent.glob(".*.gone")):
        remove(left)
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{part} cannot be written: {error.strerror}; make room there") from None
    finally:
        remove(part)
