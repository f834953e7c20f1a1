"""Make a process mortal: kill -9 when a named step has had its effect, before or after its result was kept.

Found by the interpreter through PYTHONPATH, in every process of a test that sets MORTAL_STEP; the product knows
nothing of it. It kills once, for all processes together: whoever makes the file MORTAL_FLAG first. Whom it kills
stands in the file beside it.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

STEP, WHEN = os.environ.get("MORTAL_STEP"), os.environ.get("MORTAL_WHEN")


def kill() -> None:
    """Kill the victims, ourselves last."""
    flag = Path(os.environ["MORTAL_FLAG"])
    try:
        flag.touch(exist_ok=False)
    except FileExistsError:
        return
    victims = flag.with_suffix(".victims").read_text().split()
    for victim in sorted(victims, key=lambda each: each == "self"):
        with suppress(ProcessLookupError):
            os.kill(os.getpid() if victim == "self" else int(victim), signal.SIGKILL)


if STEP:
    from prefect.task_engine import SyncTaskRunEngine

    original = SyncTaskRunEngine.handle_success

    def handle_success(self: Any, result: Any, transaction: Any) -> Any:
        """Prefect's own, with death before or after it."""
        mine = self.task.name == STEP
        if mine and WHEN == "before":
            kill()
        answer = original(self, result, transaction)
        if mine and WHEN == "after":
            kill()
        return answer

    SyncTaskRunEngine.handle_success = handle_success  # type: ignore[method-assign]
