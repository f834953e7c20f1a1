"""What the catalogue says of a database on AWS RDS or Aurora. Credentials are found as boto3 finds them, never here."""

from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recovery.databases import Smoke
from recovery.durations import Duration, parse_duration

# Short enough for an ending of ours: RDS takes 63 characters, lower case, no two hyphens in a row.
Identifier = Annotated[str, Field(pattern=r"^[a-z](-?[a-z0-9]){0,62}$", max_length=63)]


class Reached(Protocol):
    """What a connection needs to know of a database, whoever runs it."""

    @property
    def url_variable(self) -> str:
        """Name of the variable that holds the conninfo."""


class Questioned(Reached, Protocol):
    """A database that is asked questions, too."""

    @property
    def smoke(self) -> tuple[Smoke, ...]:
        """What only a sound database answers rightly."""


class Rds(BaseModel):
    """A service's PostgreSQL on RDS or Aurora: what it is called there, and how long its slow acts may take."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="AWS region, such as eu-central-1.")
    instance: Identifier | None = Field(None, description="Identifier of the RDS instance; or name a `cluster`.")
    cluster: Identifier | None = Field(None, description="Identifier of the Aurora cluster; or name an `instance`.")
    url_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Name of the environment variable that holds the conninfo, password included.",
    )
    snapshot: bool = Field(
        False, description="Take a manual snapshot at the gate, too: no retention ever removes it, a person does."
    )
    fresh: Duration = Field(
        parse_duration("1h"), description="Age up to which a repeated gate takes the point that is there."
    )
    lag: Duration = Field(
        parse_duration("15m"), description="Longest wait until RDS can restore to the point; it lags some 5 minutes."
    )
    deadline: Duration = Field(
        parse_duration("4h"), description="Longest time that a restored instance may take until it is available."
    )
    renaming: Duration = Field(
        parse_duration("1h"), description="Longest time that the exchange of the names may take; each takes minutes."
    )
    approval: Literal["person", "none"] = Field(
        "person", description="Whether a person must approve in the Prefect UI before anything is lost."
    )
    allow_unproved: bool = Field(False, description="Deploy even where the way back is not proved; it is said aloud.")
    drill: bool = Field(
        False, description="Have the weekly drill restore a copy, too: another instance, paid for while it lasts."
    )
    rto: Duration | None = Field(
        None, description="Longest time until a restored copy takes writes; a slower drill fails."
    )
    rpo: Duration | None = Field(None, description="Greatest age of the newest point; a drill of an older one fails.")
    smoke: tuple[Smoke, ...] = Field((), description="What the restored database is asked before clients reach it.")
    uncounted: tuple[str, ...] = Field(
        (), description="Tables, schema.name, whose rows are not compared: queues, sessions, what never stands still."
    )
    differing: tuple[str, ...] = Field(
        (), description="Settings, as `aws rds describe` names them, whose difference does not hold a restore up."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "Rds":
        if (self.instance is None) == (self.cluster is None):
            raise ValueError("name one of `instance` (RDS) and `cluster` (Aurora)")
        return self

    @property
    def name(self) -> str:
        """The identifier that clients reach it by, before and after a restore."""
        return self.instance or self.cluster or ""

    @property
    def is_cluster(self) -> bool:
        """Whether it is an Aurora cluster."""
        return self.cluster is not None
