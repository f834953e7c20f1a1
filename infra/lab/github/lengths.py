"""How long a text may be, and GitHub's words for one that is longer.

Documented is only the 140 characters of a deployment status' description: the rest is what GitHub answers.
"""

from dataclasses import dataclass
from typing import Any

from infra.lab.github.answers import ApiError, invalid


@dataclass(frozen=True)
class Limit:
    """The longest text of one field, and what GitHub calls the thing that has it."""

    resource: str
    field: str
    characters: int

    def check(self, text: Any) -> None:
        """Raise GitHub's 422 for a text that is too long."""
        if isinstance(text, str) and len(text) > self.characters:
            said = f"{self.field} is too long (maximum is {self.characters} characters)"
            raise invalid(self.resource, self.field, "custom", said)


PULL = (Limit("Issue", "title", 256), Limit("Issue", "body", 65_536))
"""A pull request is an issue, too."""
RELEASE = (Limit("Release", "body", 125_000),)
STATUS = (Limit("Status", "description", 140), Limit("Status", "context", 255))
DEPLOYMENT_STATUS = (Limit("DeploymentStatus", "description", 140),)
COMMENT = 65_536


def must_fit(body: dict[str, Any], limits: tuple[Limit, ...]) -> None:
    """Raise GitHub's 422 for the first field that is too long."""
    for limit in limits:
        limit.check(body.get(limit.field))


def comment_must_fit(text: str) -> None:
    """A comment's own 422, which names no field that was given."""
    if len(text) > COMMENT:
        said = f"Body is too long (maximum is {COMMENT} characters)"
        error = {"resource": "IssueComment", "code": "unprocessable", "field": "data", "message": said}
        raise ApiError(422, "Validation Failed", [error])
