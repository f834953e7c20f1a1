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


A_PERSON_ASKED = Cause()


class Mode(StrEnum):
    """The global switch that people turn in the Prefect UI (variable `ripcord_mode`)."""

    ACT = "act"
    CONFIRM = "confirm"
    NOTIFY = "notify"


def incident_key(service: str, version: str, number: int = 1, to: str | None = None, hotfix: bool = False) -> str:
    """The idempotency key of the run that answers: one per service and faulty version.

    A deliberate repeat carries a higher incident number, or what a person chose.
    """
    chosen = "".join([f"/to/{to}" if to else "", "/hotfix" if hotfix else ""])
    return repeated(f"respond/{service}/{version}{chosen}", number)


def repeated(key: str, number: int) -> str:
    """The idempotency key of a deliberate repeat; that of the first time is the key itself."""
    return f"{key}#{number}" if number > 1 else key
