"""Carry webhooks: signed, off the request's path, tried again when the receiver does not take them."""

import hashlib
import hmac
import json
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from infra.lab.github.store import Document, Store

PAUSES_SECONDS = (0.2, 1.0, 3.0, 6.0)
"""Before each further attempt. GitHub itself leaves repeating to its users; the lab is kinder."""
TIMEOUT_SECONDS = 10.0
"""GitHub's own patience with a receiver."""

ACTIONS = "github-actions[bot]"
"""The user behind every Actions token."""


class Courier:
    """Delivers from an outbox in the store, so that a restart loses nothing."""

    def __init__(self, store: Store, look: Callable[[str, dict[str, Any]], None] | None = None) -> None:
        """Start with nothing in hand; `resume` takes up what an earlier process left. `look` sees each event first."""
        self._store = store
        self._look = look
        self._carriers = ThreadPoolExecutor(max_workers=16, thread_name_prefix="courier")
        self._closing = threading.Event()
        self._client = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)

    def announce(self, repository: str, event: str, payload: dict[str, Any]) -> None:
        """Put one event into the outbox for every webhook of the repository; what Actions does, starts nothing.

        GitHub documents that the events of an Actions token start no workflow. Here the webhooks' receivers stand
        for the workflows.
        """
        if payload["sender"]["login"] == ACTIONS:
            return
        hooks = [hook for hook in self._store.all("webhook", repository) if event in hook["events"]]
        if hooks and self._look:
            self._look(event, payload)
        for hook in hooks:
            delivery = self._store.add(
                "delivery", hook=hook["id"], of=repository, event=event, guid=str(uuid.uuid4()),
                payload=json.dumps(payload), attempts=0, delivered=False,
            )  # fmt: skip
            self._carriers.submit(self._carry, hook, delivery)

    def resume(self) -> None:
        """Carry what was announced and never delivered, with a full number of attempts."""
        for delivery in self._store.all("delivery", delivered=False):
            self.carry_again(delivery)

    def carry_again(self, delivery: Document) -> None:
        """Send one event once more, under the same id; a webhook that is gone by now gets nothing."""
        hook = self._store.first("webhook", delivery["of"], id=delivery["hook"])
        if hook is not None:
            self._store.change(delivery, attempts=0, delivered=False)
            self._carriers.submit(self._carry, hook, delivery)

    def close(self) -> None:
        """Stop after the attempt at hand; the outbox keeps the rest."""
        self._closing.set()
        self._carriers.shutdown(wait=False, cancel_futures=True)

    def _carry(self, hook: Document, delivery: Document) -> None:
        for attempt, pause in enumerate((0.0, *PAUSES_SECONDS), start=1):
            if self._closing.wait(pause):
                return
            delivered = self._post(hook, delivery)
            self._store.change(delivery, attempts=attempt, delivered=delivered)
            if delivered:
                return

    def _post(self, hook: Document, delivery: Document) -> bool:
        body = delivery["payload"].encode()
        try:
            answer = self._client.post(hook["url"], content=body, headers=_headers(hook, delivery, body))
        except httpx.HTTPError:
            return False
        return answer.is_success


def _headers(hook: Document, delivery: Document, body: bytes) -> dict[str, str]:
    signature = hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/lab",
        "X-GitHub-Event": delivery["event"],
        "X-GitHub-Delivery": delivery["guid"],
        "X-GitHub-Hook-ID": str(hook["id"]),
        "X-Hub-Signature-256": f"sha256={signature}",
    }
