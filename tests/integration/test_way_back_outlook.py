"""The gate says whether the version before runs on the new schema: by the text of the migrations, and on its copy.

Plain git makes the releases, plain HTTP reads the status, plain SQL looks at the server.
"""

import itertools
import json
import re
import resource
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

import flows.answering
import flows.prepare_release
from infra.lab.githost import GitHost
from infra.lab.postgres import Postgres
from recovery.databases import Smoke
from recovery.hotfixes import judge_feasibility
from recovery.outlooks import Outlook
from recovery.restore_points import WayBack
from tasks.git import read_range
from tasks.postgres import trying
from tasks.postgres.foretold import read_foretold
from tests.integration.plain_git import commit, git, new_clone, rest
from tests.integration.test_way_back import digest
from tests.integration.way_back import URL, Shop, new_shop

SMOKE = Smoke(sql="SELECT sum(amount) FROM orders", equals="5050")
numbers = itertools.count(1)


@dataclass
class Team:
    """A shop's database, and the repository from which it is released."""

    shop: Shop
    host: GitHost
    clone: Path
    patch: pytest.MonkeyPatch

    @property
    def name(self) -> str:
        """Of the repository."""
        return self.shop.service.repository

    def release(self, tag: str, files: dict[str, str], *, published: bool = True, pushed: bool = True) -> None:
        """Commit files and tag them, as the team does."""
        for path, text in files.items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            commit(self.clone, path, text)
        commit(self.clone, tag)
        git("tag", "--annotate", "-m", tag, tag, at=self.clone)
        if pushed:
            git("push", "--quiet", "origin", "main", "--tags", at=self.clone, token=self.host.token("team"))
        if published:
            path = f"/repos/{self.name}/releases"
            rest(self.host, self.host.token("team"), "POST", path, tag_name=tag, name=tag).raise_for_status()

    def bring(self, **files: str) -> None:
        """The release v1.2.0 with migrations, by the names of their files."""
        self.release("v1.2.0", {f"db/migrations/{name}.sql": text for name, text in files.items()}, published=False)

    def gate(self) -> WayBack:
        """The whole gate of v1.2.0."""
        entry = self.shop.service
        self.patch.setattr(flows.prepare_release, "read_service", lambda name: entry)
        return flows.prepare_release.prepare_release.fn(entry.name, "v1.2.0", rehearse=False)

    def outlook(self) -> Outlook:
        """What the gate says of the version before, of a way back that it proves."""
        way = self.gate()
        assert way.proved
        assert way.outlook is not None
        return way.outlook

    def status(self) -> tuple[str, str]:
        """The gate's status on the tag's commit."""
        path = f"/repos/{self.name}/commits/v1.2.0/statuses"
        [status] = rest(self.host, self.host.token("reader", write=False), "GET", path).raise_for_status().json()
        return status["state"], status["description"]


@pytest.fixture(name="team")
def _team(archiving: Postgres, host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    number = next(numbers)
    with new_shop(archiving, f"ahead{number}", monkeypatch) as shop:
        for name, value in (
            ("GITHUB_API_URL", host.api_url), ("GITHUB_GIT_URL", host.url), ("GITHUB_TOKEN", host.token("ripcord")),
            ("LOCK_URL", archiving.dsn()),
        ):  # fmt: skip
            monkeypatch.setenv(f"RIPCORD_{name}", value)
        repository = f"acme/outlook{number}"
        clone = new_clone(host, repository, tmp_path / "clone")
        service = shop.service.model_copy(update={"repository": repository})
        team = Team(Shop(shop.server, shop.database, service), host, clone, monkeypatch)
        team.release("v1.1.0", {"db/migrations/0001.sql": "CREATE TABLE orders (id int);"})
        yield team


def test_a_release_without_migrations_would_be_reverted(team: Team) -> None:
    """The answer stands in the value, in the sentence and on the tag's commit."""
    team.release("v1.2.0", {"app.py": "print()\n"}, published=False)

    way = team.gate()

    assert way.outlook is not None
    assert (way.outlook.runs, way.outlook.recovery, way.outlook.before) == (True, "revert", "v1.1.0")
    said = "v1.1.0 still runs on the new schema: yes, because no migration lies between v1.1.0 and v1.2.0"
    assert f"{said}; a recovery would be a revert" in way.sentence
    state, description = team.status()
    assert state == "success"
    assert description.startswith("v1.1.0 runs on the new schema; a recovery would be a revert. a copy was restored to")


def test_a_migration_that_takes_a_column_away_means_a_hotfix(team: Team) -> None:
    """The deployment is let through all the same: this informs."""
    team.bring(**{"0002": "ALTER TABLE orders DROP COLUMN amount;"})

    outlook = team.outlook()

    assert (outlook.runs, outlook.recovery) == (False, "hotfix")
    assert outlook.reason.startswith("v1.1.0 still runs on the new schema: no, because ")
    assert outlook.reason.endswith("; a recovery would be a hotfix")
    state, description = team.status()
    assert state == "success"
    assert description.startswith("v1.1.0 does not run on the new schema; a recovery would be a hotfix. ")


def test_what_git_does_not_tell_is_said_and_refuses_nothing(team: Team) -> None:
    """The tag is not there yet, or the Git host is down: the way back is proved all the same."""
    shop = team.shop
    entry = shop.service
    team.patch.setattr(flows.answering, "write_status", lambda *said, **named: None)
    for address, why in ((team.host.url, "no tag v1.2.0"), ("http://127.0.0.1:1", "127.0.0.1:1")):
        team.patch.setenv("RIPCORD_GITHUB_GIT_URL", address)
        team.patch.setattr(flows.prepare_release, "read_service", lambda name: entry)

        outlook = team.outlook()

        assert (outlook.runs, outlook.recovery) == (None, None)
        assert outlook.reason.startswith("whether the version before still runs on the new schema is not told: ")
        assert why in outlook.reason


def test_what_a_copy_shows_outranks_what_the_text_says(team: Team) -> None:
    """Added rows are compatible by their text, and a file that is marked is, too; the smoke query says otherwise."""
    added = "CREATE TABLE parts (id int);"
    team.bring(
        **{"10": "INSERT INTO orders (amount) SELECT id FROM parts;", "2": added, "3": "INSERT INTO parts VALUES (7);"}
    )

    outlook = team.outlook()

    assert (outlook.runs, outlook.recovery) == (False, "hotfix")
    said = "after db/migrations/10.sql, smoke query 'SELECT sum(amount) FROM orders' returned 5057 and not 5050"
    assert said in outlook.reason
    assert said in str(outlook.broken)
    kept = json.loads((team.shop.place().set / "proof.json").read_text())
    assert (kept["proved"], kept["outlook"]["broken"]) == (True, outlook.broken)
    assert said not in team.status()[1]  # a server's words, with a customer's data maybe, are not for all to read


def test_a_file_that_says_it_is_compatible_is_tried_all_the_same(team: Team) -> None:
    """A person's word counts where nothing has shown otherwise."""
    team.bring(**{"2": "-- ripcord: backward-compatible\nALTER TABLE orders RENAME COLUMN amount TO total;"})

    outlook = team.outlook()

    assert (outlook.runs, outlook.recovery) == (False, "hotfix")
    assert 'column "amount" does not exist' in outlook.reason


def test_migrations_that_the_version_before_runs_with_are_told_with_their_time(team: Team) -> None:
    """And neither the server, nor the set, nor the archive notices anything of it."""
    shop = team.shop
    team.bring(**{"2": "CREATE TABLE parts (id int); SELECT * FROM orders;", "3": "BEGIN; COMMIT;"})
    shop.gate()
    before, archived = digest(shop.place().data), sorted(path.name for path in shop.server.archive.iterdir())

    outlook = team.outlook()

    assert (outlook.runs, outlook.recovery) == (True, "revert")
    assert re.search(r"; run on a copy in \d\.\d s, the smoke queries were answered after each;", outlook.reason)
    assert shop.sql("SELECT to_regclass('parts')") == [(None,)]
    assert digest(shop.place().data) == before
    assert sorted(path.name for path in shop.server.archive.iterdir()) == archived
    assert shop.sets() == [shop.point().name]


@pytest.mark.parametrize(
    "text",
    [
        "SET statement_timeout = 0; SELECT pg_sleep(600);",
        "SET statement_timeout = 0; DO $$ BEGIN LOOP END LOOP; END $$;",
        "SELECT repeat('x', 1000) FROM generate_series(1, 10000000000);",
    ],
)
def test_a_migration_without_an_end_is_ended_and_the_way_back_stays_proved(team: Team, text: str) -> None:
    """Whatever it sets, the time of the catalogue holds; and nobody takes its silence for a no."""
    migrations = team.shop.service.migrations.model_copy(update={"tried": timedelta(seconds=3)})
    service = team.shop.service.model_copy(update={"migrations": migrations})
    team.shop = Shop(team.shop.server, team.shop.database, service)
    team.bring(**{"2": text})

    began = time.monotonic()
    outlook = team.outlook()

    assert time.monotonic() - began < 60
    assert "their run on a copy was ended after 3s" in outlook.reason
    assert outlook.broken is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2_000_000  # kB
    assert team.shop.sets() == [team.shop.point().name]


def test_a_migration_that_fills_the_disk_is_ended(team: Team) -> None:
    """The sets and the parachute may lie on the same one; here it is as large as what the copy really writes allows."""
    sizes: list[int] = []

    def usage(path: Path) -> SimpleNamespace:
        printed = subprocess.run(["du", "-sb", str(path)], capture_output=True, text=True, check=False).stdout
        sizes.append(int(printed.split()[0]))
        return SimpleNamespace(free=sizes[0] + 200_000_000 - sizes[-1])

    team.patch.setattr(trying, "shutil", SimpleNamespace(disk_usage=usage))
    team.bring(**{"2": "CREATE TABLE large AS SELECT n, repeat('x', 500) FROM generate_series(1, 100000000) n;"})

    outlook = team.outlook()

    assert "their run on a copy was ended when it had written half of the free disk" in outlook.reason
    assert max(sizes) - sizes[0] < 1_000_000_000
    assert team.shop.sets() == [team.shop.point().name]


def test_a_migration_that_fails_is_told_and_is_no_answer_of_the_version_before(team: Team) -> None:
    """The line and PostgreSQL's words, but no row; it is the deployment that may fail."""
    team.bring(**{"2": "CREATE TABLE parts (id int PRIMARY KEY);\nINSERT INTO parts\nVALUES (4711), (4711);"})

    outlook = team.outlook()

    assert outlook.broken is None
    assert "db/migrations/2.sql fails on line 2: duplicate key value violates unique constraint" in outlook.reason
    assert "the deployment may fail, too" in outlook.reason
    assert "4711" not in outlook.reason


PROGRAM = "COPY (SELECT 1) TO PROGRAM ''cat > {}''"
DENIED = "COPY to or from an external program"  # its words before it differ from version to version
TRAPS = {
    "hidden in a block": ("DO $x$ BEGIN EXECUTE '{program}'; END $x$;", DENIED),
    "behind a role": ("RESET ROLE; RESET SESSION AUTHORIZATION; DO $x$ BEGIN EXECUTE '{program}'; END $x$;", DENIED),
    "by a superuser's own function": ("SELECT boss('{program}');", DENIED),
    "laid for the smoke query": (
        "CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql AS $x$ BEGIN EXECUTE '{program}'; RETURN 1; END $x$;"
        "ALTER TABLE orders RENAME TO gone; CREATE VIEW orders AS SELECT trap() AS amount;",
        "after db/migrations/2.sql, smoke query",
    ),
    "by more rights": ("DO $x$ BEGIN EXECUTE 'ALTER ROLE CURRENT_USER SUPERUSER'; END $x$;", "superuser"),
    "by an owner's rights": ("DO $x$ BEGIN EXECUTE 'SET ROLE {boss}; {program}'; END $x$;", "permission denied"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_no_migration_runs_a_program_on_the_machine(team: Team, trap: str) -> None:
    """Who may push a tag has the rights of an ordinary role on a copy, and none on the gate's machine."""
    shop, (text, said) = team.shop, TRAPS[trap]
    witness = shop.server.data.parent / f"witness-{shop.service.name}"
    boss = "CREATE FUNCTION boss(sql text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $x$ BEGIN EXECUTE sql; "
    shop.sql(f"{boss} RETURN 1; END $x$")
    program = PROGRAM.format(witness)
    shop.sql(f"SELECT boss('{program}')")
    assert witness.exists()  # it is a trap indeed
    witness.unlink()
    team.bring(**{"2": text.replace("{program}", program).replace("{boss}", shop.server.user)})

    outlook = team.outlook()

    assert not witness.exists()
    assert said in outlook.reason


def test_the_tables_own_owner_runs_them(team: Team) -> None:
    """As in production; and what he may not do there, he may not do on the copy."""
    shop = team.shop
    role = f"owner_{shop.service.name}"
    shop.sql(
        f"CREATE ROLE {role} NOLOGIN; ALTER TABLE orders OWNER TO {role}; CREATE SCHEMA other; CREATE TABLE other.t ()"
    )
    shop.sql(f"ALTER TABLE other.t OWNER TO {role}")
    team.bring(
        **{"2": "CREATE TABLE parts (id int); ALTER TABLE orders ADD COLUMN note text; SELECT current_user::int;"}
    )

    assert f'invalid input syntax for type integer: "{role}"' in team.outlook().reason


def test_a_database_with_functions_that_reach_out_is_not_tried(team: Team) -> None:
    """A foreign server may be production's neighbour: what is written there no copy takes back."""
    team.shop.sql("CREATE FOREIGN DATA WRAPPER far; CREATE SERVER neighbour FOREIGN DATA WRAPPER far")
    team.bring(**{"2": "CREATE TABLE parts (id int);"})

    outlook = team.outlook()

    assert (outlook.runs, outlook.recovery) == (True, "revert")
    assert "not run on a copy: the foreign server neighbour may reach beyond it" in outlook.reason


def test_a_recovery_hears_what_the_gate_has_seen_without_the_database(team: Team) -> None:
    """By its text the release could be taken back as a whole; the set says otherwise, and the server is not asked."""
    team.bring(**{"2": "INSERT INTO orders (amount) VALUES (7);"})
    assert team.outlook().broken
    service, proof = team.shop.service, team.shop.place().set / "proof.json"
    between = read_range.fn(service, "v1.2.0", "v1.1.0")
    assert judge_feasibility(service, between).full_rollback

    team.patch.setenv(URL, "host=127.0.0.1 port=1")
    foretold = read_foretold.fn(service, "v1.2.0")

    assert not judge_feasibility(service, between, foretold=foretold).full_rollback
    assert read_foretold.fn(service, "v1.3.0") is None
    assert read_foretold.fn(service.model_copy(update={"name": "other"}), "v1.2.0") is None
    proof.write_text("{")
    assert read_foretold.fn(service, "v1.2.0") is None
