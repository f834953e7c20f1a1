"""A server that can die and come back: the same port, the same data, another process."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from infra.lab.process import Process


class Restartable:
    """Holds the running process of a server and knows how to start its successor.

    `process` is always the one that was started last; a test of its death kills it and calls `restart`.
    """

    process: Process

    def __init__(self, start: Callable[[], AbstractContextManager[Process]]) -> None:
        self._start = start
        self._running = ExitStack()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises LabError when it does not.
        """
        self.process = self._running.enter_context(self._start())

    def stop(self) -> None:
        """End the server, dead or alive, with everything it has started; what it has stored stays."""
        self._running.close()

    def restart(self) -> None:
        """Stop it and start it again on the same port with the same data."""
        self.stop()
        self.start()
