"""The code of a version: the tree that its image tag names in the registry, run in this process."""

import asyncio
import importlib
import importlib.util
import json
import re
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infra.lab.shop_database import Connection, Database

Body = dict[str, Any]
Handle = Callable[[str, str, Body, Connection], tuple[int, Body]]

THREADS = 8


class Version:
    """One version of a service, with threads of its own: a slow version must not hold up a good one."""

    def __init__(self, tag: str, tree: Path, database: Database) -> None:
        self._tree = tree
        self._package = f"_{re.sub(r'[^0-9A-Za-z]', '_', f'{tree.parent.name}_{tag}')}"
        self._database = database
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=tag)
        self._first_use = threading.Lock()
        self._handle: Handle | None = None

    async def answer(self, method: str, path: str, body: Body) -> tuple[int, bytes]:
        """Answer one request, with a status and JSON, as this version does. Raises whatever its code raises."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._answer, method, path, body)

    def _answer(self, method: str, path: str, body: Body) -> tuple[int, bytes]:
        handle = self._loaded()
        with self._database.connection() as db:
            status, answer = handle(method, path, body, db)
            # Before the commit: an order whose answer cannot be written is an order that was not made.
            text = json.dumps(answer).encode()
            if 200 <= status < 300:
                db.commit()
        return status, text

    def _loaded(self) -> Handle:
        # What fails here (no such image, a broken import, a refused schema) is tried again by the next request,
        # as a pod is restarted.
        with self._first_use:
            if self._handle is None:
                handle = load(self._tree, self._package)
                self._apply_schema()
                self._handle = handle
            return self._handle

    def _apply_schema(self) -> None:
        schema = self._tree / "schema.sql"
        if schema.exists():
            with self._database.connection() as db:
                # Even CREATE ... IF NOT EXISTS fails when two versions do it at the same moment.
                db.execute("SELECT pg_advisory_xact_lock(hashtext('schema'))")
                db.execute(schema.read_bytes())
                db.commit()


def load(tree: Path, package: str) -> Handle:
    """Import the tree as a package of this name and answer the `handle` of its module `app`.

    Raises FileNotFoundError when the registry has no such tree, and whatever the import raises.
    """
    root = tree / "__init__.py"
    if not root.exists():
        raise FileNotFoundError(f"no image {tree.parent.name}:{tree.name} in the registry {tree.parent.parent}")
    for module in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[module]
    spec = importlib.util.spec_from_file_location(package, root, submodule_search_locations=[str(tree)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{root} cannot be imported")
    module_of_root = importlib.util.module_from_spec(spec)
    sys.modules[package] = module_of_root
    spec.loader.exec_module(module_of_root)
    handle: Handle = importlib.import_module(f"{package}.app").handle
    return handle
