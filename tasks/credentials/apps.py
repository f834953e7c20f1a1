"""Tokens of a GitHub App's installation, by REST and not by PyGithub: at DEBUG that logs the answer, token and all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
from github import Auth

from recovery.errors import Refused, Unavailable

MOVES = 5  # of a repository that was renamed, and again
ROUNDED = 1.0  # second that GitHub's clock may be ahead of what it says, in whole seconds
_LIMITED = (403, 429)


@dataclass(frozen=True, slots=True)
class App:
    """A GitHub App by its id (or client id), where it is asked, and how its private key is had."""

    name: str
    url: str
    timeout: float
    key: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Minted:
    """A token, for how many seconds it is good, and what it may."""

    token: str = field(repr=False)
    seconds: float
    permissions: Mapping[str, str]


def installed(app: App, repository: str) -> int:
    """The App's installation that a repository belongs to."""
    answer = _ask(app, "GET", f"/repos/{repository}/installation", repository)
    return int(answer.json()["id"])


def mint(app: App, installation: int, repository: str) -> Minted:
    """A new token of an installation. Raises Refused naming what keeps the App from it."""
    answer = _ask(app, "POST", f"/app/installations/{installation}/access_tokens", repository)
    said = answer.json()
    ends = datetime.fromisoformat(said["expires_at"])
    # By GitHub's own clock: ours may be wrong by minutes.
    now = parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else datetime.now(UTC)
    return Minted(said["token"], (ends - now).total_seconds() - ROUNDED, said.get("permissions") or {})


def _ask(app: App, verb: str, path: str, repository: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {_signed(app)}", "Accept": "application/vnd.github+json"}
    try:
        # httpx takes the Authorization to no other host.
        with httpx.Client(timeout=app.timeout, follow_redirects=True, max_redirects=MOVES) as client:
            answer = client.request(verb, f"{app.url.rstrip('/')}{path}", headers=headers)
    except httpx.TooManyRedirects:
        raise Refused(f"{app.url} sends us in a circle at {path}: set RIPCORD_GITHUB_API_URL") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"{app.url} did not answer: {' '.join(str(error).split())[:200]}") from None
    if answer.is_success:
        return answer
    raise _failure(app, answer, repository)


def _signed(app: App) -> str:
    try:
        return Auth.AppAuth(app.name, app.key()).create_jwt()
    except (Refused, Unavailable):
        raise
    except Exception as error:  # whatever the libraries below make of a key that is none; its text stays unsaid
        raise Refused(
            f"the private key of the GitHub App {app.name} is none that signs ({error.__class__.__name__}): "
            "make a new one in the App's settings, and give the whole PEM file"
        ) from None


def _failure(app: App, answer: httpx.Response, repository: str) -> Refused | Unavailable:
    said, who = _words(answer), f"the GitHub App {app.name}"
    if answer.status_code == 401:
        return Refused(
            f"GitHub does not know {who} by its key ({said}): check RIPCORD_GITHUB_APP, the private key and this "
            "machine's clock"
        )
    if answer.status_code == 404:
        return Refused(
            f"{who} is not installed on {repository} ({said}): install it there, and check "
            "RIPCORD_GITHUB_APP_INSTALLATION if it is set"
        )
    if answer.status_code in _LIMITED and ("rate limit" in said.lower() or "retry-after" in answer.headers):
        return Unavailable(f"GitHub hands out no token to {who} for now ({said}): wait, or use less of it")
    if 400 <= answer.status_code < 500:
        return Refused(f"GitHub hands out no token to {who} for {repository} ({answer.status_code}: {said})")
    return Unavailable(f"GitHub answered {answer.status_code} when {who} asked for a token: {said}")


def _words(answer: httpx.Response) -> str:
    try:
        body: Any = answer.json()
    except ValueError:
        return " ".join(answer.text.split())[:200]
    return str(body.get("message", ""))[:300] if isinstance(body, dict) else ""
