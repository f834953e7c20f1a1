"""The form on which a person picks what goes back of the rows that were written after the point."""

from prefect.input import RunInput
from pydantic import Field

from recovery.salvages import Choice


class SalvageAnswer(RunInput):
    """What goes back to the restored database; no field has a default, as in tasks/approvals.py."""

    choice: Choice = Field(description="Nothing; the rows that were inserted; or the changed and deleted ones, too.")
    left_out: str = Field(
        description="Tables that stay as they are all the same, schema.name, one a line or parted by commas; or: none."
    )
