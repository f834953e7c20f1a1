"""A repository on GitHub, and what GitHub's failures mean. Vendor types do not leave this package."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import requests
from github import GithubException
from github.Repository import Repository

from recovery.errors import Refused, Unavailable
from tasks.credentials import holder, way_to_another
from tasks.github.connection import POLL_SECONDS, Connection
from tasks.github.permissions import permission
from tasks.settings import read_settings

T = TypeVar("T")
_PASSING = (408, 409, 425, 429)  # that may be otherwise in a moment


@contextmanager
def open_repository(name: str) -> Iterator[Repository]:
    """A repository, by its present name; what the vendor's client raises inside the block becomes one of ours."""
    settings = read_settings()
    connection = Connection(settings, name)
    try:
        yield Repository(connection, url=f"/repos/{name}")
    except GithubException as error:
        raise failure(name, connection, error) from error
    except requests.RequestException as error:
        raise Unavailable(f"{settings.github_api_url} did not answer: {' '.join(str(error).split())[:200]}") from error
    finally:
        connection.close()


def settled(write: Callable[[], T], look: Callable[[], T | None]) -> T:
    """Write once; when the answer is lost, or says that it is there already, look and take what is there."""
    try:
        return write()
    except GithubException as error:
        found = look() if error.status == 422 or error.status >= 500 else None
        if found is None:
            raise
        return found
    except requests.RequestException:
        found = look()
        if found is None:
            raise
        return found


def read(repository: Repository, path: str, **parameters: Any) -> Any:
    """What the vendor's client has no words for, below the repository's address."""
    return repository.requester.requestJsonAndCheck("GET", f"{repository.url}{path}", parameters=parameters)[1]


def readable(repository: Repository, path: str, **parameters: Any) -> Any | None:
    """The same; None where it is not there or the token may not look."""
    try:
        return read(repository, path, **parameters)
    except GithubException as error:
        if error.status not in (403, 404):
            raise
        return None


def wait_a_little() -> None:
    """The time between two looks at what others do."""
    time.sleep(POLL_SECONDS * read_settings().patience)


def words(error: GithubException) -> str:
    """All that GitHub said, the message and what it says of single fields."""
    if not isinstance(error.data, dict):
        return str(error.data or error.message or "").strip()[:300]
    said = [str(error.data.get("message", ""))]
    for each in error.data.get("errors") or ():
        if isinstance(each, dict):
            said.append(str(each.get("message") or f"{each.get('field')}: {each.get('code')}"))
        else:
            said.append(str(each))
    return "; ".join(" ".join(each.split()) for each in said if each)


def failure(name: str, connection: Connection, error: GithubException) -> Refused | Unavailable:
    """One of our errors for one of GitHub's."""
    said = words(error)
    if error.status == 401:
        return Refused(f"GitHub does not know the token ({said}), or no longer: {way_to_another()}")
    if error.status == 403 or "Resource not accessible" in said:  # GraphQL says it with another status
        needed = permission(*connection.asked, (error.headers or {}).get("x-accepted-github-permissions", ""))
        return Refused(f"GitHub does not allow this on {name} ({said}): {holder()} needs {needed}")
    if error.status == 404:
        return Refused(f"GitHub has no {name}, or the token does not see it ({said}): {connection.asked[1]}")
    if 400 <= error.status < 500 and error.status not in _PASSING:
        return Refused(f"GitHub does not take this for {name} ({error.status}: {said}): look at {connection.asked[1]}")
    # Look again and go on from what is there.
    return Unavailable(f"GitHub answered {error.status} for {name}: {said}")
