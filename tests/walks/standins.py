"""What stands in a walk for the cluster, for Prefect's memory and for a person; what must last is kept in files.

The directory WALK_DIRECTORY belongs to one incident. The results of finished tasks are remembered there, as Prefect
remembers those of one run; where they are removed, the next walk is a run of its own.
"""

import os
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import Flow, Task
from prefect.utilities.hashing import hash_objects

from recovery.hotfixes import Answer
from recovery.incidents import Mode
from recovery.rollouts import Revision, Rollout
from tasks.approvals import Confirmation, HotfixAnswer
from tasks.runs import Launched
from tests.integration.plain_git import commit, git

_SINCE = datetime(2026, 1, 1, 11, tzinfo=UTC)
_REVISIONS = tuple(
    Revision(number, f"shop-{number}", str(number), f"v1.{number}.0", _SINCE.replace(hour=number + 8))
    for number in (1, 2)
)
ROLLOUT = Rollout("shop", "acme", "shop", "1", "v1.2.0", 1, 1, 2, 2, 2, 2, revisions=_REVISIONS, current=_REVISIONS[1])
NOTHING = "mark patch", "mark revision", "undo rollout", "watch pipeline", "wait until settled", "wait until recovered"
FIX = "hotfix.py"
"""What a person adds to a hotfix branch."""
_flows: list[str] = []


def place(name: str = "") -> Path:
    """A directory of this incident's."""
    found = Path(os.environ["WALK_DIRECTORY"]) / name
    found.mkdir(parents=True, exist_ok=True)
    return found


def run(flow: Flow[Any, Any], *arguments: Any, **named: Any) -> Any:
    """A flow as the plain function that it is; its tasks are remembered as its own."""
    _flows.append(flow.name)
    try:
        return flow.fn(*arguments, **named)
    finally:
        _flows.pop()


def launched(*asked: Any, **more: Any) -> Launched:
    """Note that a hotfix was called for, under the one key that it has."""
    _, _, _, _, why, *_ = asked
    (place() / "launched").write_text(why)
    return Launched("1", "hotfix", "http://prefect/1", fresh=True)


STANDINS: dict[str, Callable[..., object]] = {
    "read rollout": lambda *asked: ROLLOUT,
    "read orders": lambda *asked: (Mode.ACT, 0),
    "read harm": lambda *asked: (),
    "launch hotfix": launched,
    **dict.fromkeys(NOTHING, lambda *asked, **more: None),
}


def remembered(task: Task[Any, Any], *arguments: Any, **named: Any) -> Any:
    """A task's result, from the first time that it came to its end in this run."""
    if not task.persist_result:
        return task.fn(*arguments, **named)
    key = hash_objects(_flows[-1], task.name, arguments, named, raise_on_failure=True)
    kept = place("results") / f"{key}.pickle"
    if not kept.exists():
        kept.write_bytes(pickle.dumps(task.fn(*arguments, **named)))
    return pickle.loads(kept.read_bytes())  # noqa: S301 - our own


def show(key: str, markdown: str, description: str) -> str:
    """Keep an artifact."""
    (place("shown") / f"{key}.md").write_text(markdown)
    return key


class Variable:
    """Prefect's variables."""

    @staticmethod
    def get(name: str) -> str | None:
        """What was remembered."""
        kept = place("variables") / name
        return kept.read_text() if kept.exists() else None

    @staticmethod
    def set(name: str, value: str, **options: Any) -> None:
        """Remember it."""
        (place("variables") / name).write_text(value)


def answer(form: type[HotfixAnswer | Confirmation], description: str, key: str) -> HotfixAnswer | Confirmation:
    """A person's next answer of WALK_ANSWERS; the last one, if it is OWN, is given once a fix is pushed."""
    given = os.environ["WALK_ANSWERS"].split(",")
    if issubclass(form, Confirmation):
        return form(confirm=given == ["yes"])
    answers = [Answer(each) for each in given]
    number = int(key.rpartition("-")[2])
    (place("asked") / str(number)).write_text(description)
    if number == len(answers) - 1 and answers[number] is Answer.OWN:
        _push_own()
    return form(answer=answers[number])


def _push_own() -> None:
    """A person's commit on the hotfix branch, once."""
    url, token, clone = os.environ["WALK_URL"], os.environ["WALK_TOKEN"], place() / "person"
    if not clone.exists():
        git("clone", "--quiet", "--branch", "hotfix/v1.2.1", url, str(clone), at=place(), token=token)
        commit(clone, FIX, "mended = True\n")
    git("push", "--quiet", "origin", "hotfix/v1.2.1", at=clone, token=token)
