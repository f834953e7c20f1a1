"""What the catalogue says of a service's database. The secret that opens it stands in the environment, never here."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from recovery.durations import Duration, parse_duration

# No blank, quote or percent sign: PostgreSQL hands such a path to a shell in its restore_command.
Directory = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*)+$")]
# What others have installed may lie below a directory like ~/.local; the rest holds for the same reason.
Elsewhere = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_.@+-]+)+$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Smoke(_Entry):
    """A question that only a sound database answers rightly."""

    sql: str = Field(min_length=1, description="One SELECT, run in a read-only transaction; it must return a row.")
    equals: str | None = Field(None, description="What the first column of the first row must be, as text.")


class PgBouncer(_Entry):
    """Clients reach the database through PgBouncer, which is told of the restored server and lets nobody go."""

    admin_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Name of the environment variable that holds the conninfo of its admin console.",
    )
    databases_file: Directory = Field(
        description="The file of its [databases] section, taken in by %include; written by ripcord alone."
    )
    alias: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name under which the clients know the database."
    )


class Secret(_Entry):
    """Clients read the conninfo from a Kubernetes Secret when they start; their Deployment is restarted after it."""

    name: str = Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$", description="Name of the Secret.")
    key: str = Field("DATABASE_URL", pattern=r"^[A-Za-z0-9_.-]+$", description="Key that holds the conninfo, a URL.")


class Restore(_Entry):
    """How the database is taken back to its restore point: beside the damaged server, which is kept."""

    sides: Directory = Field(description="Directory of the restored servers' data, as large as the database.")
    host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9_.:-]+$", description="Where clients reach a restored server.")
    port: int = Field(5433, ge=1024, le=65535, description="Its port; never the port of the server in use.")
    parachute: bool = Field(
        False, description="Keep a standby that stopped exactly at the point while a release is watched."
    )
    journal: bool = Field(
        False,
        description="Keep a logical replication slot from the point on while a release is watched, so that what the "
        "damage changed or deleted of later rows is found, too.",
    )
    approval: Literal["person", "none"] = Field(
        "person", description="Whether a person must approve in the Prefect UI before anything is lost."
    )
    pgbouncer: PgBouncer | None = Field(None, description="The cutover by PgBouncer.")
    secret: Secret | None = Field(None, description="The cutover by a Kubernetes Secret and a restart.")

    @model_validator(mode="after")
    def _one_cutover(self) -> "Restore":
        if (self.pgbouncer is None) == (self.secret is None):
            raise ValueError("name one way by which clients are led to the restored server: `pgbouncer` or `secret`")
        return self


class WithBarman(_Entry):
    """Barman takes the backups and keeps the WAL, on the machine and as the user of PostgreSQL's programs."""

    server: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the server in Barman's words.")
    configuration: Elsewhere = Field("/etc/barman.conf", description="Barman's configuration file.")
    programs: Elsewhere | None = Field(None, description="Directory of Barman's programs; null: on PATH.")


class WithPgBackRest(_Entry):
    """pgBackRest takes the backups and keeps the WAL, on the machine and as the user of PostgreSQL's programs."""

    stanza: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the server in pgBackRest's words."
    )
    configuration: Elsewhere = Field("/etc/pgbackrest.conf", description="pgBackRest's configuration file.")
    programs: Elsewhere | None = Field(None, description="Directory of `pgbackrest`; null: on PATH.")


class Bucket(_Entry):
    """A bucket of S3, or of what speaks its language, into which archive_command puts finished WAL, not compressed."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", description="Name of the bucket.")
    prefix: str = Field("", pattern=r"^[A-Za-z0-9_./+@-]*$", description="What the keys begin with, before a slash.")
    region: str = Field(pattern=r"^[a-z0-9-]+$", description="Its region.")
    endpoint: str | None = Field(None, pattern=r"^https?://[^\s/]+$", description="Its address; null: that of AWS.")
    locked: bool = Field(True, description="The bucket must have a default retention of Object Lock.")
    restore_command: str = Field(
        description="How a restored server reads a segment, with %f and %p, as archive_command writes it."
    )

    @field_validator("restore_command")
    @classmethod
    def _names_both(cls, command: str) -> str:
        if "%f" not in command or "%p" not in command or "\n" in command:
            raise ValueError("restore_command must name the segment, %f, and where it goes, %p, in one line")
        return command


class Database(_Entry):
    """A service's PostgreSQL, and where the ways back to before a deployment are kept."""

    barman: WithBarman | None = Field(
        None, description="Barman as the engine; null: PostgreSQL's own programs, which keep all in `backups`."
    )
    pgbackrest: WithPgBackRest | None = Field(None, description="pgBackRest as the engine.")
    bucket: Bucket | None = Field(None, description="S3 instead of `archive`, with PostgreSQL's own programs.")
    url_variable: str = Field(
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Name of the environment variable that holds the conninfo, password included.",
    )
    backups: Directory = Field(description="Directory of the sets, each a base backup with its WAL and its proof.")
    archive: Directory | None = Field(
        None,
        description="Directory where archive_command puts finished WAL segments; Barman and pgBackRest have their own.",
    )
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
    rto: Duration | None = Field(
        None, description="Longest time a cold restore may take; a drill that takes longer fails."
    )
    rpo: Duration | None = Field(
        None, description="Greatest age of the newest proved point; a drill of an older one fails."
    )
    restore: Restore | None = Field(
        None, description="How a catastrophe is undone by going back to the point; null: by people alone."
    )

    @model_validator(mode="after")
    def _one_archive(self) -> "Database":
        if sum(each is not None for each in (self.archive, self.barman, self.pgbackrest, self.bucket)) != 1:
            raise ValueError(
                "name one place where finished WAL goes: `archive` or `bucket`, which archive_command "
                "fills, `barman` or `pgbackrest`"
            )
        return self
