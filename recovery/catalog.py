"""The service catalogue: what the team owns and what it calls too much. Facts only, never a secret."""

import difflib
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from recovery.bounded import clipped
from recovery.cnpg_catalog import ClientsService, Cnpg
from recovery.databases import Database, PgBouncer, Restore, Secret, Smoke
from recovery.durations import Duration, parse_duration
from recovery.errors import Refused
from recovery.rds_catalog import Rds

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
# A path from the repository's root, without what git or a glob could take for something else.
Path = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@+-]+(/[A-Za-z0-9_.@+-]+)*/?$")]

RestoredBy = Literal["restore_database", "restore_rds", "restore_cnpg"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Entry):
    """The plan's triggers. A window is judged only above its minimum sample, and must stay bad for a while."""

    availability: float = Field(0.999, gt=0, lt=1, description="Least share of requests that succeed.")
    errors: float = Field(0.01, gt=0, lt=1, description="Greatest share of requests answered with 5xx.")
    probes: float = Field(0.05, gt=0, lt=1, description="Greatest share of failed checkout probes.")
    window: Duration = Field(parse_duration("5m"), description="Length of the rolling window.")
    minimum_requests: int = Field(20, ge=1, description="Requests in the window below which no share is judged.")
    certifying_requests: int = Field(
        100, ge=1, description="Requests in the whole watch below which no release is certified."
    )
    minimum_failures: int = Field(
        10,
        ge=1,
        description="Failures in the window below which it is not a breach: one error is an accident.",
    )
    minimum_probes: int = Field(6, ge=1, description="Probes in the window below which they are not judged.")
    persistence: Duration = Field(
        parse_duration("30s"),
        description="For how long every window must have been bad before it is a breach.",
    )
    blind_after: Duration = Field(
        parse_duration("1m"), description="Age of the newest point from which on we call ourselves blind."
    )


class Probe(_Entry):
    """A synthetic try of a critical function: requests sent in order, each of which must be answered 2xx."""

    name: Name = Field("checkout", description="Name of the critical function.")
    base_url: str = Field(description="Where the service is reached, such as https://shop.example.com.")
    steps: tuple["Step", ...] = Field(min_length=1, description="The requests of one try, in order.")
    every: Duration = Field(parse_duration("5s"), description="Time between two tries.")
    timeout: Duration = Field(parse_duration("3s"), description="Time after which a request counts as failed.")


class Step(_Entry):
    """One request of a probe."""

    method: str = Field("GET", pattern="^(GET|POST|PUT|DELETE)$")
    path: str = Field(pattern="^/")
    body: dict[str, str | int] = Field(default_factory=dict)


class Migrations(_Entry):
    """Where the service keeps its database migrations, and how one says that the version before can live with it."""

    paths: tuple[str, ...] = Field(
        (
            "**/migrations/**",
            "**/migrate/**",
            "**/alembic/versions/**",
            "**/flyway/**",
            "**/db/migration/**",
            "**/db/changelog/**",
        ),
        description="Globs of migration files, ** crossing directories: Django, Rails, Alembic, Flyway, Liquibase.",
    )
    compatible: str = Field(
        "ripcord: backward-compatible",
        min_length=8,
        description="A migration that has this text in it runs under the version before, too: it is no obstacle.",
    )
    tried: Duration = Field(
        parse_duration("5m"),
        description="Time that the gate gives the SQL migrations on its copy of the database; 0s: not run.",
    )


class Service(_Entry):
    """One service. Everything but name, repository and namespace follows a convention."""

    name: Name
    namespace: Name = Field(description="Kubernetes namespace of the Deployment.")
    repository: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="GitHub repository, owner/name.")
    deployment: Name | None = Field(None, description="Name of the Deployment; the service's name by default.")
    container: Name | None = Field(None, description="Container whose image tag is the version; the service's name.")
    main: str = Field("main", pattern=r"^[A-Za-z0-9][\w./-]*$", description="Branch that releases are made from.")
    develop: str | None = Field(
        "develop",
        pattern=r"^[A-Za-z0-9][\w./-]*$",
        description="Branch that work is integrated on; null: none.",
    )
    via: Literal["push", "pull-request"] = Field(
        "push", description="How a revert reaches main; a main that is protected gets a pull request all the same."
    )
    checks: Duration = Field(
        parse_duration("1h"), description="Time that checks and reviews get before a pull request is left to people."
    )
    paths: tuple[Path, ...] = Field(
        (), description="What of a shared repository is the service's; all else is left as it is. Empty: all of it."
    )
    migrations: Migrations = Field(default_factory=Migrations)
    database: Database | None = Field(None, description="Its PostgreSQL, to which a way back is proved; null: none.")
    rds: Rds | None = Field(None, description="Its PostgreSQL where AWS runs it, instead of `database`; null: none.")
    cnpg: Cnpg | None = Field(None, description="Its PostgreSQL where CloudNativePG runs it; null: none.")
    quarantine: tuple[str, ...] = Field((), description="Release tags that must never be gone back to.")
    tag_prefix: str = Field("v", description="What stands before the semantic version in a release tag.")
    watch: Duration = Field(parse_duration("1h"), description="The monitoring window after a deployment.")
    limits: Limits = Field(default_factory=Limits)
    probes: tuple[Probe, ...] = ()
    step: Duration = Field(
        parse_duration("15s"), description="Length of one point of evidence; no shorter than the scrape interval."
    )
    daily: int = Field(
        3, ge=1, description="Recoveries in 24 hours after which the next one waits for a person's confirmation."
    )
    settle: Duration = Field(parse_duration("10m"), description="Time a rollout gets until it must have settled.")

    @model_validator(mode="after")
    def _one_database(self) -> "Service":
        if sum(each is not None for each in (self.database, self.rds, self.cnpg)) > 1:
            raise ValueError("name one of `database`, `rds` and `cnpg`: a service is taken back in one way")
        return self

    @property
    def restored_by(self) -> RestoredBy:
        """The flow that takes its database back."""
        if self.cnpg is not None:
            return "restore_cnpg"
        return "restore_database" if self.rds is None else "restore_rds"

    @property
    def drilled(self) -> bool:
        """Whether the weekly drill goes its way back."""
        return self.database is not None or self.cnpg is not None or (self.rds is not None and self.rds.drill)

    @property
    def workload(self) -> str:
        """Name of the Deployment."""
        return self.deployment or self.name

    @property
    def image_container(self) -> str:
        """Name of the container whose image tag is the version."""
        return self.container or self.name


class Catalogue(_Entry):
    """All services."""

    services: tuple[Service, ...]

    @field_validator("services")
    @classmethod
    def _once_each(cls, services: tuple[Service, ...]) -> tuple[Service, ...]:
        if not services:
            raise ValueError("no service is listed: add one, its name, namespace and repository suffice")
        names = [service.name for service in services]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"service {twice[0]!r} stands there twice: rename or remove one")
        return services

    def service(self, name: str) -> Service:
        """Look a service up. Raises Refused, naming those there are."""
        for service in self.services:
            if service.name == name:
                return service
        known = ", ".join(service.name for service in self.services)
        raise Refused(f"no service {clipped(name, 80)!r} in the catalogue: it has {known}")


def parse_catalogue(text: str, source: str = "deployments/services.yaml") -> Catalogue:
    """Read and validate a whole catalogue. Raises Refused with one sentence per mistake."""
    try:
        return Catalogue.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise Refused(f"{source} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        mistakes = "; ".join(_mistake(dict(each)) for each in error.errors())
        raise Refused(f"{source}: {mistakes}") from None


def _mistake(error: dict[str, object]) -> str:
    location = error["loc"]
    path = [str(part) for part in location] if isinstance(location, tuple) else []
    where = ".".join(path) or "the file"
    if error["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(path[-1], _known_keys(path[:-1]), n=1)
        hint = f", did you mean {nearest[0]!r}?" if nearest else f": known are {', '.join(_known_keys(path[:-1]))}"
        return f"unknown key {where!r}{hint}"
    return f"{where}: {error['msg']}"


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = Catalogue
    inside: dict[str, type[BaseModel]] = {"services": Service, "limits": Limits, "probes": Probe, "steps": Step}
    inside |= {"migrations": Migrations, "database": Database, "smoke": Smoke}
    inside |= {
        "cnpg": Cnpg,
        "service": ClientsService,
        "rds": Rds,
        "restore": Restore,
        "pgbouncer": PgBouncer,
        "secret": Secret,
    }
    for part in path:
        model = inside.get(part, model)
    return list(model.model_fields)
