"""What GitHub knows besides Git: users, releases, statuses, deliveries; one SQLite file that survives kill -9."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, repository TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_kind ON documents (kind, repository);
CREATE TABLE IF NOT EXISTS seen_refs (
    repository TEXT NOT NULL, name TEXT NOT NULL, sha TEXT NOT NULL, PRIMARY KEY (repository, name));
"""
ZERO = "0" * 40


@dataclass(frozen=True)
class RefChange:
    """One ref as it was and as it is; ZERO stands for a ref that was or is not there."""

    name: str
    before: str
    after: str


class Store:
    """Documents by kind and repository. Safe for many threads, and for a second process beside the server."""

    def __init__(self, file: Path) -> None:
        """Open the file, and create it when it is not there."""
        self.file = file
        self._lock = threading.RLock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None, timeout=10)
        self._database.execute("PRAGMA journal_mode = WAL")
        # The lab survives the death of a process, not of the machine: no need to wait for the disk.
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def add(self, kind: str, repository: str = "", **body: Any) -> Document:
        """Keep a new document; its `id` is unique over all kinds."""
        with self._lock:
            cursor = self._database.execute(
                "INSERT INTO documents (kind, repository, body) VALUES (?, ?, ?)",
                (kind, repository, json.dumps(body)),
            )
        return {**body, "id": cursor.lastrowid}

    def all(self, kind: str, repository: str = "", **equal: Any) -> list[Document]:
        """The documents of a kind, oldest first, whose fields equal the given ones."""
        with self._lock:
            rows = self._database.execute(
                "SELECT id, body FROM documents WHERE kind = ? AND repository = ? ORDER BY id", (kind, repository)
            ).fetchall()
        documents = [{**json.loads(body), "id": number} for number, body in rows]
        return [d for d in documents if all(d.get(key) == value for key, value in equal.items())]

    def first(self, kind: str, repository: str = "", **equal: Any) -> Document | None:
        """The oldest document that `all` would answer."""
        return next(iter(self.all(kind, repository, **equal)), None)

    def change(self, document: Mapping[str, Any], **changes: Any) -> Document:
        """Change fields of a document that was read here, and return it as it is now."""
        with self.transaction():
            row = self._database.execute("SELECT body FROM documents WHERE id = ?", (document["id"],)).fetchone()
            body = {**json.loads(row[0]), **changes}
            self._database.execute("UPDATE documents SET body = ? WHERE id = ?", (json.dumps(body), document["id"]))
        return {**body, "id": document["id"]}

    def observe(self, repository: str, refs: Mapping[str, str]) -> list[RefChange]:
        """Remember these refs and answer what has changed since they were last remembered.

        Each change is answered once, whoever looks first: so concurrent pushes never announce a ref twice,
        and a push that was cut off by the server's death is announced after its restart.
        """
        with self.transaction():
            rows = self._database.execute(
                "SELECT name, sha FROM seen_refs WHERE repository = ?", (repository,)
            ).fetchall()
            changes = _changes(dict(rows), refs)
            for change in changes:
                self._remember(repository, change)
        return changes

    def rename(self, repository: Document, after: str) -> None:
        """Let all that belongs to a repository belong to another name, at once, and keep the one that it had."""
        before, body = repository["full_name"], {**repository, "full_name": after}
        of = json.dumps({"full_name": before, "of": body.pop("id")})
        with self.transaction():
            changed = (json.dumps(body), repository["id"])
            self._database.execute("UPDATE documents SET body = ? WHERE id = ?", changed)
            self._database.execute("INSERT INTO documents (kind, repository, body) VALUES ('old_name', '', ?)", (of,))
            for table in ("documents", "seen_refs"):
                self._database.execute(f"UPDATE {table} SET repository = ? WHERE repository = ?", (after, before))

    def remove(self, document: Mapping[str, Any]) -> None:
        """Forget a document."""
        with self._lock:
            self._database.execute("DELETE FROM documents WHERE id = ?", (document["id"],))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and nobody else writes meanwhile."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _remember(self, repository: str, change: RefChange) -> None:
        if change.after == ZERO:
            self._database.execute("DELETE FROM seen_refs WHERE repository = ? AND name = ?", (repository, change.name))
        else:
            self._database.execute(
                "INSERT OR REPLACE INTO seen_refs VALUES (?, ?, ?)", (repository, change.name, change.after)
            )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[RefChange]:
    names = sorted(before.keys() | after.keys())
    changes = [RefChange(name, before.get(name, ZERO), after.get(name, ZERO)) for name in names]
    return [change for change in changes if change.before != change.after]
