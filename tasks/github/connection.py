"""One connection to GitHub: follows renamed repositories, waits out short rate limits, asks conditionally."""

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from github import Auth
from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass, Requester, RequestsResponse

from recovery.errors import Refused, Unavailable
from tasks.credentials import declined, token_for
from tasks.settings import Settings, read_settings

PATIENCE_SECONDS = 60.0  # that a rate limit is waited out inside a task; a longer one is told, and tried again later
POLL_SECONDS = 5.0  # between two looks at what others do; an answer that did not change costs nothing of the rate
MOVES = 5  # of a repository that was renamed, and again
_MOVED = (301, 307, 308)


class Current(Auth.Token):
    """The token of the moment in which a request is sent: one of an App lives an hour, and waits are longer."""

    def __init__(self, repository: str) -> None:
        """Ask for nothing yet."""
        super().__init__("none")
        self._repository = repository
        self.sent = ""

    @property
    def token(self) -> str:
        """What is sent."""
        self.sent = token_for(self._repository)
        return self.sent or "none"


class Wire:
    """The vendor's connection, of which a move for good looks like any other.

    The vendor itself would follow that one, without the query and without an end.
    """

    def __init__(self, base_url: str, timeout: int) -> None:
        """Prepare; the first request connects."""
        to = urlsplit(base_url)
        kind = HTTPSRequestsConnectionClass if to.scheme == "https" else HTTPRequestsConnectionClass
        self._wire = kind(str(to.hostname), to.port, timeout=timeout, verify=True)
        self.request, self.close = self._wire.request, self._wire.close

    def getresponse(self) -> RequestsResponse:
        """What came back."""
        response = self._wire.getresponse()
        response.status = 308 if response.status == 301 else response.status
        return response


class Connection(Requester):
    """The vendor's requester, through which each of its objects speaks."""

    def __init__(self, settings: Settings, repository: str) -> None:
        """Prepare; the first request connects."""
        timeout = max(1, round(settings.request_timeout))
        self._current = Current(repository)
        super().__init__(
            auth=self._current,
            base_url=settings.github_api_url,
            timeout=timeout,
            user_agent="ripcord",
            per_page=100,
            verify=True,
            retry=None,
            pool_size=None,
            seconds_between_requests=0,
            seconds_between_writes=0,
        )
        self.asked = ("", "")  # verb and address of the last request, for the words of a refusal
        self._repository = repository
        self._wire = Wire(settings.github_api_url, timeout)
        self._budget = PATIENCE_SECONDS * settings.patience
        self._known: dict[str, tuple[dict[str, Any], str]] = {}

    def close(self) -> None:
        """Close what was opened."""
        self._wire.close()
        super().close()

    def requestJson(  # noqa: N802 - the vendor's name
        self,
        verb: str,
        url: str,
        parameters: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        input: Any | None = None,
        cnx: Any = None,
        follow_302_redirect: bool = False,
    ) -> tuple[int, dict[str, Any], str]:
        """Ask, and once more at the new address, after a short rate limit or with the token of by now."""
        for _ in range(MOVES + 1):
            self.asked = (verb, url)
            status, answered, output = self._answer(verb, url, parameters, headers, input, cnx, follow_302_redirect)
            if status not in _MOVED or "location" not in answered:
                return status, answered, output
            url = self._moved(url, str(answered["location"]))
        raise Refused(f"{self.base_url} sends us in a circle, at last to {url}: set RIPCORD_GITHUB_API_URL")

    def _answer(
        self, verb: str, url: str, parameters: Any, headers: dict[str, Any] | None, *rest: Any
    ) -> tuple[int, dict[str, Any], str]:
        """What GitHub says at one address, from memory where it did not change."""
        key = f"{url} {sorted((parameters or {}).items())}"
        known = self._known.get(key) if verb == "GET" else None
        if known:
            headers = {**(headers or {}), "If-None-Match": known[0]["etag"]}
        status, answered, output = self._allowed(verb, url, parameters, headers, *rest)
        if status == 304 and known:
            return 200, *known
        if verb == "GET" and status == 200 and "etag" in answered:
            self._known[key] = (answered, output)
        return status, answered, output

    def _allowed(self, *asked: Any) -> tuple[int, dict[str, Any], str]:
        """What GitHub says when its rate limit is over and it knows the token, if that is soon."""
        status, answered, output = self._request(*asked)
        if status == 401 and declined(self._repository, self._current.sent):
            status, answered, output = self._request(*asked)
        while status in (403, 429) and (seconds := limited_for(answered, output)) is not None:
            if seconds > self._budget:
                raise Unavailable(
                    f"GitHub's rate limit is used up for another {seconds:.0f} s: wait, or use less of it"
                )
            self._budget -= seconds
            time.sleep(seconds)
            status, answered, output = self._request(*asked)
        return status, answered, output

    def _moved(self, url: str, location: str) -> str:
        """Where a request is to go instead: to the host that the settings name, or the token went to another one."""
        here, to = urlsplit(self.base_url), urlsplit(urljoin(urljoin(self.base_url, url), location))
        if (to.scheme, to.netloc) != (here.scheme, here.netloc):
            raise Refused(
                f"{self.base_url} is not where this GitHub is (it sends us to {to.scheme}://{to.hostname}): "
                "set RIPCORD_GITHUB_API_URL"
            )
        return to.geturl()

    def _request(
        self, verb: str, url: str, parameters: Any, headers: dict[str, Any] | None, input: Any, cnx: Any, follow: bool
    ) -> tuple[int, dict[str, Any], str]:
        # The vendor writes into the headers that it is given.
        rest: tuple[Any, ...] = (parameters, {**(headers or {})}, input, cnx or self._wire, follow)
        try:
            return super().requestJson(verb, url, *rest)
        except requests.ConnectionError as error:
            if verb != "GET" or isinstance(error, requests.Timeout):
                raise
            return super().requestJson(verb, url, *rest)  # a connection that was kept may have been closed meanwhile


def limited_for(headers: dict[str, Any], output: str) -> float | None:
    """For how many seconds GitHub wants no more requests; None when it refused for another reason."""
    # A limit without a time that can be read: GitHub asks for at least a minute then.
    unknown = PATIENCE_SECONDS * read_settings().patience
    if "retry-after" in headers:
        told = _seconds(str(headers["retry-after"]))
        return unknown if told is None else told
    if str(headers.get("x-ratelimit-remaining")) == "0":
        return max(1.0, float(headers.get("x-ratelimit-reset", 0)) - time.time())
    return unknown if "rate limit" in output.lower() else None


def _seconds(retry_after: str) -> float | None:
    """Of a header that holds seconds, or a date (RFC 9110, 10.2.3); None where it holds neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(1.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
