"""Between us and the server: what happens when COMMIT comes by, and nobody hears the answer."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from infra.lab.postgres import Postgres
from infra.lab.process import wait_until
from tasks.postgres import scripts
from tasks.postgres.connection import session
from tests.integration.mending import Mended
from tests.integration.way_back import URL


class Swallower:
    """Between us and the server: it does something when COMMIT comes by, and may keep the answer to itself."""

    def __init__(self, port: int, at_commit: Callable[[Callable[[], object]], None]) -> None:
        self._port, self._at_commit = port, at_commit
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.commits = 0
        self._muted: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), closing(client), socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=self._pump, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                if b"COMMIT\0" in data and not self.commits:
                    self.commits += 1
                    self._muted.append(client)
                    self._at_commit(partial(server.sendall, data))
                    server.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)

    def _pump(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while (data := server.recv(65536)) and client not in self._muted:
                client.sendall(data)

    def close(self) -> None:
        self._listening.close()


@contextmanager
def through(
    mended: Mended, monkeypatch: pytest.MonkeyPatch, at_commit: Callable[[Callable[[], object]], None]
) -> Iterator[Swallower]:
    """Lead our connections through the one that swallows, once there is a register: its own commit is not meant."""
    with session(mended.shop.database) as asked:
        scripts.prepare_register(asked)
    swallower, server = Swallower(mended.shop.server.port, at_commit), mended.shop.server
    direct = server.dsn(mended.shop.service.name)
    monkeypatch.setenv(URL, direct.replace(f":{server.port}/", f":{swallower.port}/") + "?sslmode=disable")
    try:
        yield swallower
    finally:
        monkeypatch.setenv(URL, direct)
        swallower.close()


def kill_all(server: Postgres) -> None:
    """Kill the postmaster and each of its backends, and wait until they are gone."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    server.process.kill()
    for each in children:
        with suppress(ProcessLookupError):
            os.kill(int(each), signal.SIGKILL)
    wait_until(lambda: not server.process.running(), what="the end of the server", seconds=10)
