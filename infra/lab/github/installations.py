"""What an installation of a GitHub App may, and who is behind a token of it."""

import time

from infra.lab.github.store import Document, Store


def bearer(store: Store, token: str) -> Document | None:
    """The bot behind a token of an installation that did not end yet."""
    found = store.first("app_token", token=token)
    return store.first("user", login=found["login"]) if found and time.time() < found["until"] else None


def permissions(installation: Document) -> dict[str, str]:
    """What an installation grants."""
    level = "write" if installation["write"] else "read"
    granted = dict.fromkeys(("contents", "statuses", "pull_requests", "issues"), level)
    workflows = {"workflows": "write"} if installation["workflows"] else {}
    return {"metadata": "read", "deployments": "read", "actions": "read", **granted, **workflows}
