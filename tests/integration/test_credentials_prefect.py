"""Credentials that lie in Prefect, and that no credential ever comes to lie there, or in any log."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from prefect.blocks.system import Secret
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from infra.lab.githost import GitHost
from infra.lab.postgres import Postgres
from infra.lab.prefect import DATABASE, PrefectServer, prefect_server
from infra.lab.process import wait_until
from recovery.catalog import Service
from recovery.errors import Refused, Unavailable
from tasks.credentials import sources
from tasks.git import read_history
from tasks.github import open_pull, read_releases, wait_and_merge
from tests.integration.app_shop import install, pair, unset
from tests.integration.github_shop import Shop, new_shop

ROOT = Path(__file__).parents[2]
EVERYTHING = "SELECT coalesce(string_agg(each::text, chr(10)), '') FROM {} AS each"


@pytest.fixture(name="prefect", scope="module")
def _prefect(tmp_path_factory: pytest.TempPathFactory, database: Postgres) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect"), database) as server:
        yield server


@pytest.fixture(name="put")
def _put(prefect: PrefectServer) -> Iterator[Callable[[str, str], None]]:
    """Put a value into a Secret block, as a person does in the UI; the product finds the same server."""
    known = {
        PREFECT_API_URL: prefect.api_url, PREFECT_API_AUTH_STRING: prefect.credential, PREFECT_CLIENT_MAX_RETRIES: 0,
    }  # fmt: skip
    with temporary_settings(known):
        yield lambda name, value: cast(Any, Secret(value=value)).save(name, overwrite=True, _sync=True)
    sources._kept.clear()


@pytest.fixture(name="shop")
def _shop(host: GitHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    with new_shop(host, tmp_path, monkeypatch) as shop:
        unset(monkeypatch)
        yield shop


def test_a_block_that_is_changed_in_a_wait_is_taken_up(
    shop: Shop, put: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token was revoked and another one put into the block: the wait goes on with that one."""
    put("ripcord-token", shop.host.token("first"))
    monkeypatch.setenv("RIPCORD_GITHUB_TOKEN_BLOCK", "ripcord-token")
    shop.host.protect(shop.name, "main", ("build",), ruleset=True)
    sha = shop.branch("revert/v1.2.0")
    pull = open_pull.fn(shop.proposal())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(copy_context().run, wait_and_merge.fn, shop.service, pull, "t", "m")
        wait_until(lambda: "first" in {each["user"] for each in shop.host.requests()}, what="a look", seconds=30)
        put("ripcord-token", shop.host.token("second"))
        shop.host.revoke_token("first")
        wait_until(lambda: "second" in {each["user"] for each in shop.host.requests()}, what="the other", seconds=30)
        shop.host.set_check(shop.name, sha, "build", "success")
        assert waiting.result(60).merged_as == shop.bare("rev-parse", "main")

    shop.host.revoke_token("second")
    for act in (lambda: read_releases.fn(shop.service), lambda: read_history.fn(shop.service, "v1.2.0")):
        with pytest.raises(Refused, match=r"put another one into the Secret block ripcord-token$"):
            act()


def test_a_block_that_is_not_there_or_empty_is_said(
    shop: Shop, put: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the way out; a Prefect that does not answer is asked again."""
    put("blank", "  ")
    for name, sentence in (("nowhere", "has no Secret block 'nowhere': make it"), ("blank", "'blank' holds no text")):
        monkeypatch.setenv("RIPCORD_GITHUB_TOKEN_BLOCK", name)
        with pytest.raises(Refused, match=sentence):
            read_releases.fn(shop.service)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(Unavailable, match="'blank'"):
        read_history.fn(shop.service, "v1.2.0")


def test_no_log_no_state_and_no_result_has_a_credential(
    shop: Shop,
    prefect: PrefectServer,
    database: Postgres,
    put: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Every library at DEBUG, runs that push and runs that fail; an App with its key in a block, and a plain token."""
    plain = shop.host.token("ripcord")
    place = tmp_path / f"{tmp_path.name}-second"
    place.mkdir()
    with new_shop(shop.host, place, monkeypatch) as second:
        install(shop.host, monkeypatch, tmp_path, "loud")
        monkeypatch.delenv("RIPCORD_GITHUB_APP_KEY_FILE")
        monkeypatch.setenv("RIPCORD_GITHUB_APP_KEY_BLOCK", "app-key")
        put("app-key", pair()[0])
        change = {"RIPCORD_GITHUB_APP": None, "RIPCORD_GITHUB_APP_KEY_BLOCK": None, "RIPCORD_GITHUB_TOKEN": plain}
        said = _run(prefect, [shop.service, second.service], change, tmp_path)
        tokens = [plain, *(each["token"] for each in shop.host._store.all("app_token"))]

    for each in (shop, second):
        assert each.bare("tag", "--list", "v1.2.1") == "v1.2.1"
    assert len(tokens) > 1
    for loud in ("GET http://127.0.0.1/api/v3/repos/", "Popen(", "access_tokens", "ls-remote", "(oauth token removed)"):
        assert loud in said  # or nothing was proved
    with psycopg.connect(database.dsn(DATABASE)) as connection:
        tables = connection.execute("SELECT relid::regclass::text FROM pg_stat_user_tables").fetchall()
        known = "\n".join(str(connection.execute(EVERYTHING.format(table)).fetchone()) for (table,) in tables)
    assert "acme/none" in known
    files = b"".join(each.read_bytes() for each in (tmp_path / "home").rglob("*") if each.is_file())
    for secret in (*tokens, *(_basic(each) for each in tokens), pair()[0].splitlines()[5], "eyJhbGciOi"):
        assert secret not in said
        assert secret not in known
        assert secret.encode() not in files


def _run(prefect: PrefectServer, services: list[Service], change: dict[str, str | None], directory: Path) -> str:
    env = os.environ | prefect.environment | {
        "LOUD_SECOND": json.dumps(change),
        "PREFECT_HOME": str(directory / "home"),
        "PREFECT_LOCAL_STORAGE_PATH": str(directory / "home" / "results"),
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "github,urllib3,httpx,httpcore,git",
        "RIPCORD_GIT_CACHE": str(directory / "home" / "kept"),
    }  # fmt: skip
    argv = [sys.executable, "-m", "tests.integration.loud_flow", *(each.repository for each in services)]
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("refused: ") == 2, done.stdout
    return done.stdout + done.stderr


def _basic(token: str) -> str:
    return base64.b64encode(f"x-access-token:{token}".encode()).decode()
