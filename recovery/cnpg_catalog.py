"""What the catalogue says of a database that CloudNativePG runs. Everything else is the Kubernetes API's to say."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recovery.databases import Secret, Smoke
from recovery.durations import Duration, parse_duration

# As the operator takes it: a DNS label of 50 characters at most that begins with a letter.
ClusterName = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$")]


class ClientsService(BaseModel):
    """Clients go by a Service of the team's own; the Deployment is restarted after it leads elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$", description="Name of the Service.")


class Cnpg(BaseModel):
    """A service's PostgreSQL that CloudNativePG runs: its Cluster, and how clients are led to another one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: ClusterName = Field(description="Name of the Cluster that serves now.")
    namespace: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Namespace of the Cluster; the service's by default.",
    )
    url_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Name of the environment variable that holds the conninfo, password included.",
    )
    secret: Secret | None = Field(None, description="The cutover by a Kubernetes Secret and a restart.")
    service: ClientsService | None = Field(None, description="The cutover by a Service and a restart.")
    fresh: Duration = Field(
        parse_duration("1h"), description="Age up to which a repeated gate takes the point that is there."
    )
    deadline: Duration = Field(
        parse_duration("4h"), description="Longest time that a backup, or a restored Cluster, may take."
    )
    approval: Literal["person", "none"] = Field(
        "person", description="Whether a person must approve in the Prefect UI before anything is lost."
    )
    allow_unproved: bool = Field(False, description="Deploy even where the way back is not proved; it is said aloud.")
    rto: Duration | None = Field(
        None, description="Longest time from the backup to a Cluster that takes writes; a slower drill fails."
    )
    rpo: Duration | None = Field(None, description="Greatest age of the newest proved point; an older one fails.")
    smoke: tuple[Smoke, ...] = Field((), description="What the restored database is asked before clients reach it.")
    uncounted: tuple[str, ...] = Field(
        (), description="Tables, schema.name, whose rows are not compared: queues, sessions, what never stands still."
    )

    @model_validator(mode="after")
    def _one_cutover(self) -> "Cnpg":
        if (self.secret is None) == (self.service is None):
            raise ValueError("name one way by which clients are led to the restored Cluster: `secret` or `service`")
        return self
