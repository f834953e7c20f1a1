"""What the catalogue says of a service's database. The secret that opens it stands in the environment, never here."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from recovery.durations import Duration, parse_duration

# No blank, quote or percent sign: PostgreSQL hands such a path to a shell in its restore_command.
Directory = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Smoke(_Entry):
    """A question that only a sound database answers rightly."""

    sql: str = Field(min_length=1, description="One SELECT, run in a read-only transaction; it must return a row.")
    equals: str | None = Field(None, description="What the first column of the first row must be, as text.")


class Database(_Entry):
    """A service's PostgreSQL, and where the ways back to before a deployment are kept."""

    engine: Literal["native"] = Field("native", description="What takes backups: PostgreSQL's own programs.")
    url_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Name of the environment variable that holds the conninfo, password included.",
    )
    backups: Directory = Field(description="Directory of the sets, each a base backup with its WAL and its proof.")
    archive: Directory = Field(description="Directory where archive_command puts finished WAL segments.")
    keep: int = Field(3, ge=1, description="Sets that are kept when a newer one is proved.")
    locked: Duration = Field(
        parse_duration("1d"), description="Time for which a set is not removed, however many newer ones there are."
    )
    fresh: Duration = Field(
        parse_duration("1h"), description="Age up to which a repeated gate takes the point that is there."
    )
    allow_unproved: bool = Field(False, description="Deploy even where the way back is not proved; it is said aloud.")
    smoke: tuple[Smoke, ...] = Field((), description="What the restored copy is asked before it counts as proved.")
    uncounted: tuple[str, ...] = Field(
        (), description="Tables, schema.name, whose rows are not compared: queues, sessions, what never stands still."
    )
