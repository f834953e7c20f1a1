"""The lab's PgBouncer: a real one, as an ordinary user, that nobody survives and that needs no installation."""

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra.lab import pgbouncer_home
from infra.lab.pgbouncer import PgBouncer, pgbouncer
from infra.lab.pgbouncer_home import find_pgbouncer, library_path
from infra.lab.postgres import Postgres
from infra.lab.process import LabError


@pytest.fixture(name="pooler")
def _pooler(database: Postgres, tmp_path: Path) -> Iterator[PgBouncer]:
    line = f"front = host=127.0.0.1 port={database.port} dbname=postgres"
    with pgbouncer(tmp_path, line, {database.user: database.password}) as pooler:
        yield pooler


def answer(pooler: PgBouncer, user: str, statement: str) -> object:
    """One value through the pooler."""
    with psycopg.connect(pooler.dsn("front", user), autocommit=True) as client:
        row = client.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_stands_in_front_of_the_server_as_an_ordinary_user(database: Postgres, pooler: PgBouncer) -> None:
    """A client is answered by the server behind it, and root's rights are dropped."""
    assert answer(pooler, database.user, "SELECT inet_server_port()") == database.port
    owner = Path(f"/proc/{pooler.process.pid}").stat().st_uid
    assert owner != 0
    assert owner == (pwd.getpwnam(database.runs_as).pw_uid if database.runs_as else os.geteuid())


def test_a_wrong_password_is_not_let_in(database: Postgres, pooler: PgBouncer) -> None:
    """Neither to a database nor to the console."""
    for dsn in (pooler.dsn("front", database.user), pooler.admin_dsn()):
        wrong = dsn.replace(database.password, "wrong").replace(pooler.password, "wrong")
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(wrong)


def test_its_databases_are_taken_in_from_a_file_of_their_own(database: Postgres, pooler: PgBouncer) -> None:
    """Who rewrites it leads the clients elsewhere by a RELOAD; killed and started again, it knows the same."""
    text = pooler.databases_file.read_text()
    pooler.databases_file.write_text(text + f"other = host=127.0.0.1 port={database.port} dbname=template1\n")
    with psycopg.connect(pooler.admin_dsn(), autocommit=True) as console:
        console.execute("RELOAD")
    assert {"front", "other"} <= {each["name"] for each in pooler.show("DATABASES")}
    pooler.process.kill()
    pooler.restart()
    assert {"front", "other"} <= {each["name"] for each in pooler.show("DATABASES")}


def test_the_libraries_lie_beside_a_fetched_program_alone() -> None:
    """The machine's own program finds the machine's own libraries."""
    programs = find_pgbouncer()
    assert (programs / "pgbouncer").is_file()
    fetched = programs != Path("/usr/sbin")
    assert all(Path(place).is_dir() for place in library_path(programs).split(":")) if fetched else True
    assert library_path(Path("/usr/sbin")) == ""


def test_without_a_way_to_get_it_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the command that a person types; a fetch that fails leaves nothing that could pass for one."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(LabError, match=r"no apt-get to fetch it with: install it .run `apt-get install pgbouncer`"):
        find_pgbouncer()
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if path else f"/usr/bin/{name}")
    monkeypatch.setenv("RIPCORD_CACHE", str(tmp_path))

    def fail(argv: list[str], place: Path) -> str:
        raise LabError("PgBouncer could not be fetched: E: no network; or run `apt-get install pgbouncer`")

    monkeypatch.setattr(pgbouncer_home, "_run", fail)
    with pytest.raises(LabError, match="no network; or run `apt-get install pgbouncer`"):
        find_pgbouncer()
    assert [path.name for path in tmp_path.iterdir()] == ["pgbouncer.lock"]
