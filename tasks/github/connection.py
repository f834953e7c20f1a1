"""One connection to GitHub: follows renamed repositories, waits out short rate limits, asks conditionally."""

import time
from typing import Any

import requests
from github import Auth
from github.Requester import Requester

from recovery.errors import Refused, Unavailable
from tasks.settings import Settings, read_settings

PATIENCE_SECONDS = 60.0  # that a rate limit is waited out inside a task; a longer one is told, and tried again later
POLL_SECONDS = 5.0  # between two looks at what others do; an answer that did not change costs nothing of the rate
_MOVED = (301, 307, 308)


class Connection(Requester):
    """The vendor's requester, through which each of its objects speaks."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; the first request connects."""
        super().__init__(
            auth=Auth.Token(settings.github_token.get_secret_value() or "none"),
            base_url=settings.github_api_url,
            timeout=max(1, round(settings.request_timeout)),
            user_agent="ripcord",
            per_page=100,
            verify=True,
            retry=None,
            pool_size=None,
            seconds_between_requests=0,
            seconds_between_writes=0,
        )
        self.asked = ("", "")  # verb and address of the last request, for the words of a refusal
        self._budget = PATIENCE_SECONDS * settings.patience
        self._known: dict[str, tuple[dict[str, Any], str]] = {}

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
        """Ask, and once more at the new address or after a short rate limit."""
        self.asked = (verb, url)
        key = f"{url} {sorted((parameters or {}).items())}"
        known = self._known.get(key) if verb == "GET" else None
        if known:
            headers = {**(headers or {}), "If-None-Match": known[0]["etag"]}
        again = (parameters, headers, input, cnx, follow_302_redirect)
        status, answered, output = self._request(verb, url, *again)
        while status in (403, 429) and (seconds := limited_for(answered, output)) is not None:
            if seconds > self._budget:
                raise Unavailable(
                    f"GitHub's rate limit is used up for another {seconds:.0f} s: wait, or use less of it"
                )
            self._budget -= seconds
            time.sleep(seconds)
            status, answered, output = self._request(verb, url, *again)
        if status in _MOVED and "location" in answered:
            return self.requestJson(verb, answered["location"], parameters, headers, input, cnx, follow_302_redirect)
        if status == 304 and known:
            return 200, *known
        if verb == "GET" and status == 200 and "etag" in answered:
            self._known[key] = (answered, output)
        return status, answered, output

    def _request(self, verb: str, url: str, *rest: Any) -> tuple[int, dict[str, Any], str]:
        try:
            return super().requestJson(verb, url, *rest)
        except requests.ConnectionError as error:
            if verb != "GET" or isinstance(error, requests.Timeout):
                raise
            return super().requestJson(verb, url, *rest)  # a connection that was kept may have been closed meanwhile
        except RuntimeError as error:  # sent to another host or protocol: the vendor goes to none but the one it knows
            raise Refused(
                f"{self.base_url} is not where this GitHub is ({error}): set RIPCORD_GITHUB_API_URL"
            ) from error


def limited_for(headers: dict[str, Any], output: str) -> float | None:
    """For how many seconds GitHub wants no more requests; None when it refused for another reason."""
    if "retry-after" in headers:
        return float(headers["retry-after"])
    if str(headers.get("x-ratelimit-remaining")) == "0":
        return max(1.0, float(headers.get("x-ratelimit-reset", 0)) - time.time())
    # A secondary limit without a time: GitHub asks for at least a minute then.
    return PATIENCE_SECONDS * read_settings().patience if "rate limit" in output.lower() else None
