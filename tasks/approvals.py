"""The forms that people fill in while a run waits for them, and what stands on them."""

from prefect.input import RunInput
from pydantic import Field

from recovery.hotfixes import Answer


class HotfixAnswer(RunInput):
    """What becomes of the prepared hotfix; shown as a form when a person presses Resume."""

    answer: Answer = Field(
        Answer.TAKE,
        description="Merge the proposal; merge what you pushed to the branch yourself; or abandon the hotfix.",
    )


class Confirmation(RunInput):
    """Whether a recovery may begin."""

    confirm: bool = Field(True, description="Take the release back now; off: leave everything as it is.")


def confirmation_form(description: str) -> type[Confirmation]:
    """The form with a text of its own, which Prefect shows as Markdown above it."""
    return Confirmation.with_initial_data(description=description)


def hotfix_form(description: str) -> type[HotfixAnswer]:
    """The form with a text of its own, which Prefect shows as Markdown above it."""
    return HotfixAnswer.with_initial_data(description=description)
