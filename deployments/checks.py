"""What must hold before the night it is needed: each system reached, each right tried, without effect."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from prefect import get_client
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

from recovery.catalog import Service
from recovery.errors import RecoveryError, Refused, Unavailable
from tasks.fence import alive_runs
from tasks.git import check_repository
from tasks.github import check_github
from tasks.kubernetes import check_access
from tasks.kubernetes.cnpg.checking import check_cnpg
from tasks.kubernetes.secrets import check_secret
from tasks.postgres.checking import check_database
from tasks.prometheus import check_prometheus
from tasks.rds.checking import check_rds
from tasks.runs import RESPOND
from tasks.settings import read_catalogue, read_settings

AT_ONCE = 8  # each of them mostly waits for another system


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing looked at, whether it holds, and what was seen."""

    what: str
    ok: bool
    said: str


def run_checks() -> list[Checked]:
    """Look at everything; a failure is a result and does not keep the rest from being looked at.

    Raises Refused only when there is no catalogue to check by.
    """
    services = read_catalogue().services
    checks: list[tuple[str, Callable[[], str]]] = [
        ("Prefect server", check_prefect),
        ("lock database", check_lock),
        ("receiver token", check_token),
    ]
    for service in services:
        checks += [(f"{service.name}, {what}", _of(check, service)) for what, check in PER_SERVICE]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(_checked, *zip(*checks, strict=True)))


PER_SERVICE: tuple[tuple[str, Callable[[Service], str]], ...] = (
    ("cluster", check_access),
    ("Git", check_repository),
    ("GitHub", check_github),
    ("Prometheus", check_prometheus),
    ("database", check_database),
    ("Secret of the database", check_secret),
    ("RDS", check_rds),
    ("CloudNativePG", check_cnpg),
)


def check_prefect() -> str:
    """The Prefect server answers and the flows are deployed."""
    try:
        with get_client(sync_client=True) as client:
            client.read_deployment_by_name(RESPOND)
            return f"{client.api_url} answers, {RESPOND} is deployed"
    except ObjectNotFound:
        raise Refused(f"{RESPOND} is not deployed: run 'ripcord up' or 'prefect deploy --all'") from None
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError, ValueError) as error:
        raise Unavailable(f"the Prefect server did not answer ({error}): check PREFECT_API_URL") from None


def check_lock() -> str:
    """The lock database answers."""
    alive = alive_runs()
    if alive is None:
        raise Refused("RIPCORD_LOCK_URL is not set: two runs of one service are not fenced, and the dead not found")
    return f"answers, {len(alive)} recoveries under way"


def check_token() -> str:
    """The receiver has a token that nobody guesses."""
    token = read_settings().receiver_token.get_secret_value()
    if len(token) < 16:
        raise Refused("RIPCORD_RECEIVER_TOKEN is missing or shorter than 16 characters: make a long random one")
    return "set"


def _of(check: Callable[[Service], str], service: Service) -> Callable[[], str]:
    return lambda: check(service)


def _checked(what: str, check: Callable[[], str]) -> Checked:
    try:
        return Checked(what, True, check())
    except RecoveryError as error:
        return Checked(what, False, str(error))
