"""The shop of way_back.py with carts that the fixes are about, and fix_forward walked as the plain function it is."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

import flows.fix_forward
from infra.lab.postgres import Postgres
from recovery.fix_scripts import read_script
from recovery.fixes import FixPlan, Ground, plan_fix
from tasks.postgres.fixing import read_ground, rehearse_fix
from tests.integration.fix_talk import BECAUSE, FixTalk, hear
from tests.integration.way_back import Shop, new_shop

TABLES = """
CREATE TABLE carts (id int PRIMARY KEY, "owner name" text, code text, total numeric);
INSERT INTO carts SELECT n, 'o' || n, 'c' || n % 10, n FROM generate_series(1, 1000) n;
"""


@dataclass
class Mended(FixTalk):
    """A shop whose database is mended, what was shown and told, and what a person answers."""

    shop: Shop = field(kw_only=True)
    plans: list[FixPlan] = field(default_factory=list)

    def fix(self, script: str, *, version: str = "v1.2.0", rehearse: bool = False) -> str:
        """Walk the whole flow."""
        said: str = flows.fix_forward.fix_forward.fn(self.shop.service.name, version, script, BECAUSE, rehearse)
        return said

    def rehearsed(self, script: str) -> tuple[FixPlan, Ground]:
        """Walk the flow up to its plan."""
        name, database, read = self.shop.service.name, self.shop.database, read_script(script)
        ground = read_ground.fn(name, database, read.digest)
        return plan_fix(name, "v1.2.0", read, rehearse_fix.fn(name, "v1.2.0", database, read, ground)), ground

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """What plain SQL says, by a connection that is not ours."""
        return self.shop.sql(statement)

    def dump(self, database: str | None = None) -> str:
        """The whole database as pg_dump writes it, but for what is ripcord's own."""
        argv = [str(self.shop.server.binaries / "pg_dump"), "--exclude-schema=ripcord", "-h", "127.0.0.1"]
        argv += ["-p", str(self.shop.server.port), "-U", self.shop.server.user, database or self.shop.service.name]
        env = {"PGPASSFILE": str(self.shop.server.passfile), "PATH": ""}
        printed = subprocess.run(argv, capture_output=True, text=True, check=True, env=env).stdout
        # Newer ones guard their output with a word that is drawn anew each time.
        return "\n".join(line for line in printed.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))

    def registered(self) -> list[tuple[Any, ...]]:
        """The register's rows."""
        if self.run("SELECT to_regclass('ripcord.fixes')") == [(None,)]:
            return []
        return self.run("SELECT service, version FROM ripcord.fixes ORDER BY applied_at")

    def left(self) -> list[str]:
        """What lies beside the sets, and the processes that still know that place."""
        names = [path.name for path in Path(self.shop.database.backups).iterdir()]
        for each in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                said = each.read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            names += [said] if self.shop.database.backups in said else []
        return names


@contextmanager
def mended_shop(server: Postgres, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mended]:
    """A shop with a thousand carts."""
    with new_shop(server, name, monkeypatch) as shop:
        shop.sql(TABLES)
        yield mending(shop, monkeypatch)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:  # else each clone is larger than the one before
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def mending(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Mended:
    """Have the flow mend this shop, and note what it shows, tells and asks."""
    mended = hear(Mended(shop=shop), monkeypatch)

    def plan(*given: Any) -> FixPlan:
        mended.plans.append(plan_fix(*given))
        return mended.plans[-1]

    monkeypatch.setattr(flows.fix_forward, "plan_fix", plan)
    monkeypatch.setattr(flows.fix_forward, "read_service", lambda name: mended.shop.service)
    return mended
