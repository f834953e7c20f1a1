"""Answers and errors in GitHub's manner."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Answer:
    """What goes back over HTTP: JSON, a status and more headers."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """An error as GitHub answers it; becomes the response."""

    def __init__(self, status: int, message: str, errors: Sequence[dict[str, str] | str] | None = None) -> None:
        """Keep the status and the body."""
        super().__init__(message)
        body: dict[str, Any] = {"message": message}
        if errors is not None:
            body["errors"] = list(errors)
        self.answer = Answer({**body, "documentation_url": DOCUMENTATION, "status": str(status)}, status)


def not_found() -> ApiError:
    """GitHub's 404, which does not tell what is missing."""
    return ApiError(404, "Not Found")


def invalid(resource: str, name: str, code: str, message: str = "") -> ApiError:
    """GitHub's 422 for one field of a resource."""
    error = {"resource": resource, "field": name, "code": code}
    return ApiError(422, "Validation Failed", [error | ({"message": message} if message else {})])


def now() -> str:
    """This instant as GitHub writes it: UTC, whole seconds."""
    return timestamp(datetime.now(UTC))


def timestamp(instant: datetime | str) -> str:
    """An instant, or an ISO 8601 text of one, as GitHub writes it."""
    moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
