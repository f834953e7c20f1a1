"""The lab's Barman: a real one beside a real server, which restores what was written after its backup."""

import json
import os
import pwd
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from infra.lab import barman_home
from infra.lab.barman import Barman, barman
from infra.lab.barman_home import find_barman, find_rsync, main
from infra.lab.cache import cache
from infra.lab.postgres import Postgres, postgres
from infra.lab.process import LabError, free_port, run, wait_until


@pytest.fixture(name="keeper", scope="module")
def _keeper(archiving: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Barman]:
    with barman(archiving, tmp_path_factory.mktemp("barman")) as keeper:
        yield keeper


def answer(port: int, server: Postgres, statement: str) -> object:
    """One value of a server with these roles and this password."""
    place = f"host=127.0.0.1 port={port} dbname=postgres user={server.user}"
    with psycopg.connect(place, password=server.password, autocommit=True) as client:
        row = client.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def opened(port: int, server: Postgres) -> bool:
    """Whether a restored server has come to take writes."""
    try:
        return answer(port, server, "SELECT pg_is_in_recovery()") is False
    except psycopg.OperationalError:
        return False


def switch(server: Postgres) -> str:
    """Write into a segment of WAL, finish it, and answer its name."""
    name = answer(server.port, server, "SELECT pg_walfile_name(pg_create_restore_point('here'))")
    answer(server.port, server, "SELECT pg_switch_wal()")
    return str(name)


def arrives(server: Postgres, directory: Path) -> None:
    """Finish a segment of WAL and wait until it is there."""
    segment = switch(server)
    wait_until((directory / segment).exists, what=f"{segment} in {directory}", seconds=30)


def test_it_stands_ready_and_is_nobody_else(archiving: Postgres, keeper: Barman) -> None:
    """It passes its own check, what it keeps is the server's user's, and no other reads the password."""
    assert "FAILED" not in keeper.run("check", keeper.server)
    user = pwd.getpwnam(archiving.runs_as).pw_uid if archiving.runs_as else os.geteuid()
    kept = [path for path in keeper.configuration.parent.rglob("*") if not path.is_symlink()]
    assert {path.stat().st_uid for path in kept} == {user}
    told = [path for path in kept if path.is_file() and archiving.password.encode() in path.read_bytes()]
    assert [(path.name, path.stat().st_mode & 0o777) for path in told] == [("passwords", 0o600)]


def test_what_it_says_when_it_fails_is_in_the_error(keeper: Barman) -> None:
    """With its exit code, also what it printed on its standard output."""
    with pytest.raises(LabError, match=r"(?s)^barman show-backup ended with 1: .*nope"):
        keeper.run("show-backup", keeper.server, "nope")


def test_a_row_written_after_the_backup_is_restored(archiving: Postgres, keeper: Barman, tmp_path: Path) -> None:
    """The backup is verified by PostgreSQL; the restored server fetches from Barman the WAL that has the row."""
    keeper.run("backup", "--wait", "--wait-timeout", "60", keeper.server)
    keeper.run("verify-backup", keeper.server, "latest")
    shown = json.loads(keeper.run("-f", "json", "list-backups", keeper.server))
    assert [each["status"] for each in shown[keeper.server]] == ["DONE"]

    with psycopg.connect(archiving.dsn(), autocommit=True) as client:
        client.execute("CREATE TABLE late AS SELECT 7 AS seen")
    arrives(archiving, keeper.incoming)
    keeper.run("archive-wal", keeper.server)
    data = keeper.configuration.parent.with_name("restored")
    keeper.run("restore", "--get-wal", keeper.server, "latest", data)

    assert (data / "PG_VERSION").read_text() == (archiving.data / "PG_VERSION").read_text()
    assert seen(archiving, keeper, data, tmp_path) == 7


def seen(server: Postgres, keeper: Barman, data: Path, directory: Path) -> object:
    """What the restored server answers, when it has been told which `barman` to ask."""
    port = free_port()
    fetch = f"{keeper.programs}/barman -c {keeper.configuration} get-wal {keeper.server} %f > %p"
    argv: list[str | Path] = [server.binaries / "postgres", "-D", data, f"--port={port}", f"--restore_command={fetch}"]
    argv += ["--archive_mode=off", "--listen_addresses=127.0.0.1", "--unix_socket_directories="]
    argv += ["--max_connections=200"]  # as the server's, which its WAL was written by
    place, user = data.parent, server.runs_as
    with run("restored", argv, directory=directory, cwd=place, user=user, env=keeper.environment()) as process:
        wait_until(lambda: opened(port, server), what="the restored server", seconds=60, process=process)
        return answer(port, server, "SELECT seen FROM late")


def test_in_the_end_nothing_runs_and_the_server_archives_as_before(tmp_path: Path) -> None:
    """What is at work is ended; the server that had been restarted for it comes back to its own archive."""
    with ExitStack() as outside:
        server = outside.enter_context(postgres(tmp_path / "server", archiving=True))
        with barman(server, tmp_path / "keeper") as keeper:
            place = keeper.configuration.parent
            argv = [keeper.programs / "python", "-c", "import time; time.sleep(600)", keeper.configuration]
            work = run("work", list(map(str, argv)), directory=tmp_path, cwd=place, user=server.runs_as)
            lingering = outside.enter_context(work)
            assert "Starting WAL archiving" in keeper.run("cron")  # in the background
            assert not (server.archive / switch(server)).exists()
            assert lingering.running()

        assert not lingering.running()
        assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if os.fsencode(place) in _read(path)]
        arrives(server, server.archive)
        server.restart()
        arrives(server, server.archive)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_server_that_does_not_archive_is_refused(tmp_path: Path) -> None:
    """With the way out; and it is left as it was."""
    with (
        postgres(tmp_path / "server") as server,
        pytest.raises(LabError, match="start it with archiving=True"),
        barman(server, tmp_path / "keeper"),
    ):
        pass


def test_an_installation_that_was_killed_is_done_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What it left is removed, and nothing incomplete bears a final name; one that fails leaves nothing, either."""
    for each in [*cache().glob("uv-*")]:
        (tmp_path / each.name).symlink_to(each)
    monkeypatch.setenv("RIPCORD_CACHE", str(tmp_path))
    (tmp_path / "barman.making" / "bin").mkdir(parents=True)
    (tmp_path / "barman.making" / "bin" / "barman").write_text("half of it")
    with monkeypatch.context() as broken:
        wrong = tmp_path / "wrong.txt"
        wrong.write_text("barman==3.19.1 --hash=sha256:" + "0" * 64 + "\n")
        broken.setattr(barman_home, "REQUIREMENTS", wrong)
        with pytest.raises(LabError, match=r"(?i)barman could not be installed: .*hash"):
            find_barman()
    assert not [path for path in tmp_path.glob("barman*") if path.is_dir()]

    programs = find_barman()

    assert programs.parent.parent == tmp_path
    assert [path.name for path in tmp_path.glob("barman*") if path.is_dir()] == [programs.parent.name]
    assert find_barman() == programs


def test_it_is_installed_beforehand_by_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Which prints where Barman and rsync are."""
    assert main() == 0
    assert capsys.readouterr().out.splitlines() == [str(find_barman()), str(find_rsync())]
    assert os.access(find_barman() / "barman", os.X_OK)
    assert os.access(find_rsync() / "rsync", os.X_OK)
