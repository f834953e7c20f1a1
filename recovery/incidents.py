"""What set a recovery off, and the identity under which it happens exactly once."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Source(StrEnum):
    """Who called."""

    MONITOR = "monitor"
    ALERTMANAGER = "alertmanager"
    PERSON = "person"


class Cause(BaseModel):
    """Why a release is to be taken back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sentence: str = Field(
        "a person asked for it", max_length=2000, description="What was seen, in a sentence for the post-mortem."
    )
    source: Source = Field(Source.PERSON, description="Who saw it.")
    seen_at: datetime | None = Field(
        None, description="When it was seen; commits made for it carry this time. Empty: when the run first started."
    )
    data_corrupt: bool = Field(
        False, description="Whether it spoiled data: then a person is asked about the database, too."
    )


A_PERSON_ASKED = Cause()


class Mode(StrEnum):
    """The global switch that people turn in the Prefect UI (variable `ripcord_mode`)."""

    ACT = "act"
    CONFIRM = "confirm"
    NOTIFY = "notify"


def incident_key(
    service: str, version: str, number: int = 1, to: str | None = None, hotfix: bool = False, corrupt: bool = False
) -> str:
    """The idempotency key of the run that answers: one per service and faulty version.

    A deliberate repeat carries a higher incident number, or what a person chose. That data are corrupt may be seen
    later than that the service fails: that is another run, which finds done what the first has done.
    """
    chosen = "".join([f"/to/{to}" if to else "", "/hotfix" if hotfix else "", "/data" if corrupt else ""])
    return repeated(f"respond/{service}/{version}{chosen}", number)


def repeated(key: str, number: int) -> str:
    """The idempotency key of a deliberate repeat; that of the first time is the key itself."""
    return f"{key}#{number}" if number > 1 else key
