"""Who calls: the user behind a token."""

import base64
import binascii

from infra.lab.github.answers import ApiError
from infra.lab.github.installations import bearer
from infra.lab.github.platform import Platform
from infra.lab.github.store import Document


def not_accessible(user: Document) -> ApiError:
    """GitHub's 403 for a token that lacks a permission."""
    kind = "integration" if user.get("account") == "Bot" else "personal access token"
    return ApiError(403, f"Resource not accessible by {kind}")


def authenticate(platform: Platform, header: str | None) -> Document:
    """The user whose token a Bearer, token or Basic (as the password) header carries; raises the 401."""
    scheme, _, rest = (header or "").partition(" ")
    token = _password(rest) if scheme.lower() == "basic" else rest.strip()
    if not header:
        raise ApiError(401, "Requires authentication")
    user = platform.store.first("user", token=token) or bearer(platform.store, token)
    if user is None:
        raise ApiError(401, "Bad credentials")
    return user


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
