"""Barman, pgBackRest and a bucket as the catalogue names them, and what the first two list of the sets' backups."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.lab.aws import aws
from infra.lab.barman import Barman, barman
from infra.lab.pgbackrest import PgBackRest, pgbackrest
from infra.lab.postgres import Postgres
from recovery.databases import WithBarman, WithPgBackRest
from tests.integration.buckets import ANYBODY, wal_in_bucket

Keeper = Callable[[Postgres, Path], AbstractContextManager[tuple[dict[str, object], str]]]
"""Has a server's backups kept; gives a database's words of the catalogue, and the PATH that it needs."""


def with_barman(ours: Barman) -> dict[str, object]:
    """A database's words of the catalogue, whose backups this Barman keeps."""
    words = WithBarman(server=ours.server, configuration=str(ours.configuration), programs=str(ours.programs))
    return {"archive": None, "barman": words}


def barmans(ours: Barman) -> dict[str, dict[str, Any]]:
    """What Barman lists, by the names that they were taken under."""
    listed = json.loads(ours.run("--format", "json", "list-backups", ours.server))
    return {each["backup_name"]: each for each in listed[ours.server] if each.get("backup_name")}


@contextmanager
def path_of_barman(ours: Barman) -> Iterator[str]:
    """A PATH on which Barman finds its rsync, which the lab has fetched, with the libraries that came along.

    Its user reaches the wrapper, which pytest's own directories would not let it.
    """
    rsync = shutil.which("rsync", path=ours.path)
    assert rsync is not None
    with tempfile.TemporaryDirectory(prefix="tools-") as directory:
        wrapper = Path(directory, "rsync")
        wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{ours.library_path}" exec {rsync} "$@"\n')
        for each in (wrapper, wrapper.parent):
            each.chmod(0o755)
        yield f"{directory}:{ours.path}"


@contextmanager
def by_postgresql(server: Postgres, directory: Path) -> Iterator[tuple[dict[str, object], str]]:
    """Its own programs keep the backups."""
    yield {}, os.environ["PATH"]


@contextmanager
def by_barman(server: Postgres, directory: Path) -> Iterator[tuple[dict[str, object], str]]:
    """Barman keeps them."""
    with barman(server, directory / "barman") as ours, path_of_barman(ours) as path:
        yield with_barman(ours), path


@contextmanager
def by_bucket(server: Postgres, directory: Path) -> Iterator[tuple[dict[str, object], str]]:
    """PostgreSQL's own programs keep the backups, a bucket the WAL."""
    with pytest.MonkeyPatch.context() as patch, aws(directory) as endpoint:
        for name, value in ANYBODY.items():
            patch.setenv(name, value)
        with wal_in_bucket(server, endpoint, "wal") as bucket:
            yield {"archive": None, "bucket": bucket}, os.environ["PATH"]


@contextmanager
def by_pgbackrest(server: Postgres, directory: Path) -> Iterator[tuple[dict[str, object], str]]:
    """PgBackRest keeps them."""
    with pgbackrest(server) as ours:
        yield with_pgbackrest(ours), os.environ["PATH"]


def with_pgbackrest(ours: PgBackRest) -> dict[str, object]:
    """A database's words of the catalogue, whose WAL this pgBackRest keeps."""
    words = WithPgBackRest(stanza=ours.stanza, configuration=str(ours.configuration), programs=str(ours.programs))
    return {"archive": None, "pgbackrest": words}


def pgbackrests(ours: PgBackRest) -> dict[str, dict[str, Any]]:
    """What pgBackRest lists, by the names that they were taken under."""
    [stanza] = json.loads(ours.run("--output=json", "info"))
    return {each["annotation"]["ripcord"]: each for each in stanza["backup"] if "annotation" in each}
