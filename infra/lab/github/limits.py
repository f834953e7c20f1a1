"""GitHub's rate limits as a caller meets them."""

import time

from starlette.responses import JSONResponse

_LIMITS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
_SUPPORT = "If you reach out to GitHub Support for help, please include the request ID"
_REQUEST = "C0DE:1A2B:3C4D5E:6F7A8B:67000000"
_MESSAGES = {
    "secondary": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
    "primary": "API rate limit exceeded for user ID 1.",
}
_PLACES = {"secondary": "about-secondary-rate-limits", "primary": "about-primary-rate-limits"}


def limited(kind: str, status: int, retry_seconds: int) -> JSONResponse:
    """The answer to a call above the `secondary` or the `primary` limit."""
    body = {
        "message": f"{_MESSAGES[kind]} {_SUPPORT} {_REQUEST}.",
        "documentation_url": f"{_LIMITS}#{_PLACES[kind]}",
        "status": str(status),
    }
    return JSONResponse(body, status, _headers(kind, retry_seconds))


def _headers(kind: str, retry_seconds: int) -> dict[str, str]:
    left = "0" if kind == "primary" else "4900"
    counts = {"limit": "5000", "remaining": left, "used": str(5000 - int(left)), "resource": "core"}
    reset = retry_seconds if kind == "primary" else 3600
    counts["reset"] = str(int(time.time()) + reset)
    headers = {f"x-ratelimit-{name}": value for name, value in counts.items()} | {"x-github-request-id": _REQUEST}
    return headers | ({"retry-after": str(retry_seconds)} if kind == "secondary" and retry_seconds else {})
