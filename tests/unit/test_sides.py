"""What a side starts with, where it may lie, and when it must be left alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from recovery.backups import Server
from recovery.databases import Database, Restore, Secret
from recovery.errors import Refused
from recovery.side_settings import Kept, Rule, keep, named_files, settings_of_side, show_rules, show_settings
from recovery.sides import Side, Stage, judge_beside, judge_leaving, judge_place, judge_stop

SIDE = Side("shop-v1.2.0-1", Stage.PAUSED, "127.0.0.1", 5433, running=True, lsn="0/3000090")
SERVER = Server(
    version=15, programs=15, system_id="7", timeline=1, segment_size=1 << 24, in_recovery=False, wal_level="replica",
    archive_mode="on", archive_command="cp", archived_at=None, failed_at=None, failed_segment="", size=1,
    data_directory="/var/lib/postgresql/15/main", tablespaces=("/fast",), unlogged=(), prepared=0,
    now=datetime(2026, 3, 1, tzinfo=UTC),
)  # fmt: skip


def database(sides: str) -> Database:
    """A catalogue's database whose restored servers live there."""
    restore = Restore(sides=sides, secret=Secret(name="shop"))
    return Database(url_variable="URL", backups="/var/backups/shop", archive="/var/archive", restore=restore)


def kept(**values: str) -> Kept:
    """What a set records of a server with these settings."""
    return keep(values, None, None)


@pytest.mark.parametrize(
    "sides", ["/var/backups/shop", "/var/backups/shop/x", "/var/backups", "/var/archive/x", "/var"]
)
def test_a_side_lies_nowhere_near_the_sets_and_the_archive(sides: str) -> None:
    """Neither in them nor around them; a name that only begins alike is another place."""
    with pytest.raises(Refused, match="lie in one another: name a place of its own"):
        judge_place(database(sides))
    judge_place(database("/var/backups/shop-sides"))


def test_a_directory_too_deep_for_a_socket_is_refused() -> None:
    """The path of a socket may have 107 bytes."""
    judge_place(database("/" + "x" * 79))
    with pytest.raises(Refused, match="longer than 80 bytes"):
        judge_place(database("/" + "x" * 80))


@pytest.mark.parametrize("sides", ["/var/lib/postgresql/15/main", "/var/lib/postgresql/15/main/x", "/fast/sides"])
def test_a_side_does_not_lie_in_the_server(sides: str) -> None:
    """Nor in its tablespaces; but a server that was a side itself may lie among the sides."""
    with pytest.raises(Refused, match="lies in the server's own"):
        judge_beside(SERVER, database(sides))
    judge_beside(replace(SERVER, data_directory="/srv/sides/shop-v1.1.0-1/data"), database("/srv/sides"))


def test_without_restore_in_the_catalogue_it_is_said() -> None:
    """Nothing lies anywhere then, and who asks for a side is told what is missing."""
    none = database("/srv/sides").model_copy(update={"restore": None})
    judge_beside(SERVER, none)
    with pytest.raises(Refused, match="add `restore` to `database`"):
        judge_place(none)


def test_a_side_that_stopped_elsewhere_is_no_way_back() -> None:
    """Both positions are named."""
    judge_stop(SIDE, "0/3000090")
    with pytest.raises(Refused, match="has paused at 0/3000090 and its point is at 0/4000000"):
        judge_stop(SIDE, "0/4000000")


def test_what_was_promoted_or_is_used_is_left_alone() -> None:
    """Stopped or not, a promoted one may hold what is nowhere else."""
    judge_leaving(SIDE, "taken down")
    for running in (True, False):
        with pytest.raises(Refused, match="was promoted"):
            judge_leaving(replace(SIDE, stage=Stage.PROMOTED, running=running), "taken down")
    with pytest.raises(Refused, match="2 clients are connected"):
        judge_leaving(replace(SIDE, clients=2), "taken down")


def test_what_is_the_servers_own_does_not_come_along() -> None:
    """Places, addresses, whom it follows, who follows it; how it archives is kept apart."""
    found = kept(
        work_mem="7168", port="5432", primary_conninfo="password=secret", synchronous_standby_names="*",
        archive_command="cp %p /a/%f", archive_library="", hba_file="/etc/x", shared_preload_libraries="auto_explain",
    )  # fmt: skip

    assert found.values == {"shared_preload_libraries": "auto_explain", "work_mem": "7168"}
    assert (found.archive_command, found.archive_library) == ("cp %p /a/%f", "")
    assert kept(archive_command="(disabled)").archive_command == ""


def test_a_standby_has_at_least_what_the_primary_had() -> None:
    """The larger of the settings and the control file; fewer, and the server refuses to start."""
    control = {"max_connections setting": "200", "max_prepared_xacts setting": "5"}
    settings = settings_of_side(kept(max_connections="100", max_prepared_transactions="9"), control, {})

    assert (settings["max_connections"], settings["max_prepared_transactions"]) == ("200", "9")
    assert settings_of_side(kept(), control, {}) == {"max_connections": "200", "max_prepared_transactions": "5"}


def test_ssl_stays_where_its_files_are() -> None:
    """Without one of them the server would not start: it is off then, and everything else stays."""
    found = kept(ssl="on", ssl_cert_file="/etc/ssl/a.pem", ssl_key_file="server.key", ssl_ca_file="", work_mem="1")

    assert named_files(found) == ("/etc/ssl/a.pem", "server.key")
    there = settings_of_side(found, {}, {"/etc/ssl/a.pem": True, "server.key": True})
    assert there == found.values
    assert settings_of_side(found, {}, {"/etc/ssl/a.pem": True}) == {"ssl": "off", "work_mem": "1"}
    assert settings_of_side(kept(huge_pages="on"), {}, {}) == {"huge_pages": "try"}


def test_rules_are_written_as_they_are_read() -> None:
    """Quotes where a blank or comma is, and the sign of a group or a regular expression outside of them."""
    rules = [
        Rule("local", ("all",), ("all",), None, None, "peer", ("map=m",)),
        Rule(
            "host", ("my db", "b"), ("+some group", "/^a.*$", 'a"b'), "::1", "ffff::", "ldap", ("x=a b", "ldapscope=2")
        ),
        Rule("hostssl", ("replication",), ("+g",), "samenet", None, "cert", ()),
    ]
    assert show_rules(rules).splitlines() == [
        "local all all peer map=m",
        'host "my db",b +"some group",/"^a.*$","a""b" ::1 ffff:: ldap "x=a b"',
        "hostssl replication +g samenet cert",
    ]


def test_values_are_quoted_as_postgresql_reads_them() -> None:
    """Quotes, backslashes and line ends in a value end neither the value nor the file."""
    assert show_settings({"a": "it's", "b": "c:\\x", "c": "1\n2"}) == "a = 'it''s'\nb = 'c:\\\\x'\nc = '1\\n2'\n"
