"""The forms that people fill in while a run waits for them, and what stands on them.

No field has a default: a run that is resumed without an answer was not answered, and never reads as a yes.
"""

import re
from contextlib import suppress
from typing import TypeVar, cast

from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput, keyset_from_base_key
from pydantic import Field, ValidationError

from recovery.errors import Refused
from recovery.hotfixes import Answer

QUESTIONS = 20  # under as many keys a question is put again that was resumed without an answer

Form = TypeVar("Form", bound=RunInput)


class HotfixAnswer(RunInput):
    """What becomes of the prepared hotfix; shown as a form when a person presses Resume."""

    answer: Answer = Field(
        description="Merge the proposal; merge what you pushed to the branch yourself; or abandon the hotfix."
    )


class Confirmation(RunInput):
    """Whether a recovery may begin."""

    confirm: bool = Field(description="On: take the release back now. Off: leave everything as it is.")


class RestoreAnswer(RunInput):
    """Whether a database goes back to its restore point, and loses what was written since."""

    restore: bool = Field(
        description="On: take the database back to the point now, what was written since is kept aside. "
        "Off: leave it as it is."
    )


def ask_person(form: type[Form], description: str, key: str) -> Form:
    """Suspend the run until the form is filled in; `description` is Markdown that stands above it.

    A run that is started again finds the answer that was given under its key; so does Retry, on which Prefect forgets
    that it has asked and keeps what was said. Raises Refused when it was resumed without an answer again and again.
    """
    plain = re.sub(r"[^a-z0-9-]+", "-", key.lower())  # what Prefect takes as the key of an input
    for number in range(1, QUESTIONS + 1):
        asked = f"{plain}-{number}"
        with suppress(ValidationError):  # no answer yet
            return cast("Form", form.load(keyset_from_base_key(f"suspended-{asked}")))
        with suppress(ValidationError):  # resumed, and nothing was filled in
            return suspend_flow_run(wait_for_input=form.with_initial_data(description=description), key=asked)
    raise Refused(f"the run was resumed {QUESTIONS} times without an answer: press Retry, and fill in the form")
