"""The form on which a person approves a fix that loses data."""

from prefect.input import RunInput
from pydantic import Field


class FixApproval(RunInput):
    """Whether a fix may be applied. No default: a run that is resumed without an answer was not answered."""

    approve: bool = Field(description="On: apply it, and lose what is named above. Off: leave the database as it is.")
