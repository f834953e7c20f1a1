"""Which pods of a service are ready: learned by list and watch, as kube-proxy learns its endpoints."""

import json
import logging
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.2
PAUSE_SECONDS = 0.05  # a server that is going down ends every watch at once
WATCH_SECONDS = 300  # the API server ends the watch after this time, and we begin another
SILENCE_SECONDS = 330  # a server that is silent for longer than the watch may last is not there any more
CONNECT_SECONDS = 2


class Stale(Exception):
    """The watch cannot go on from where it was (410 Gone): list again."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that is ready, and the version that its image tag names."""

    name: str
    version: str


class ReadyPods:
    """The ready pods of one service, kept current by a thread.

    While the API server cannot be reached, the pods known last stay: a control plane that is down must
    not take the traffic down.
    """

    def __init__(self, kubeconfig: Path, namespace: str, service: str) -> None:
        self._core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
        self._namespace = namespace
        self._service = service
        self._ready: tuple[Pod, ...] = ()
        self._reachable = True
        self.listed = False

    def start(self) -> None:
        """Begin to follow the cluster, until the process ends."""
        threading.Thread(target=self._follow, name="pods", daemon=True).start()

    @property
    def current(self) -> tuple[Pod, ...]:
        """The ready pods known now, by name."""
        return self._ready

    def pick(self) -> Pod | None:
        """One of the ready pods, None when there is none.

        At random, as kube-proxy does: in turns, customers of three requests would always check out at the same
        of three pods.
        """
        ready = self._ready
        return random.choice(ready) if ready else None

    def _follow(self) -> None:
        while True:
            try:
                self._list_and_watch()
            except Stale as gone:
                log.info("pods: listing again: %s", gone)
            except (HTTPError, client.ApiException, OSError, ValueError) as error:
                if self._reachable:
                    log.warning("pods: %s; keeping the %d known", error, len(self._ready))
                self._reachable = False
            except Exception:
                log.exception("pods: unexpected; keeping the %d known", len(self._ready))
            time.sleep(AGAIN_SECONDS)

    def _list_and_watch(self) -> None:
        with _opened(self._ask(timeout=10)) as response:
            listed = json.loads(response.data)
        pods = {pod["metadata"]["name"]: pod for pod in listed["items"]}
        self._show(pods)
        self.listed = True
        if not self._reachable:
            log.info("pods: following the API server again")
        self._reachable = True
        version = listed["metadata"]["resourceVersion"]
        while True:
            version = self._watch(pods, version)
            time.sleep(PAUSE_SECONDS)

    def _watch(self, pods: dict[str, dict[str, Any]], version: str) -> str:
        """Apply the changes since a resource version, until the server ends the watch; the last one seen."""
        response = self._ask(
            watch=True, resource_version=version, timeout_seconds=WATCH_SECONDS, timeout=SILENCE_SECONDS
        )
        with _opened(response) as lines:
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Stale(event["object"].get("message", ""))
                metadata = event["object"]["metadata"]
                version = metadata["resourceVersion"]
                if event["type"] == "DELETED":
                    pods.pop(metadata["name"], None)
                else:
                    pods[metadata["name"]] = event["object"]
                self._show(pods)
        return version

    def _ask(self, *, timeout: float, **how: Any) -> BaseHTTPResponse:
        # Raw: the typed client refuses objects of a server newer than itself.
        answer: Any = self._core.list_namespaced_pod(
            self._namespace,
            label_selector=f"app={self._service}",
            _preload_content=False,
            _request_timeout=(CONNECT_SECONDS, timeout),
            **how,
        )
        response: BaseHTTPResponse = answer
        return response

    def _show(self, pods: dict[str, dict[str, Any]]) -> None:
        ready = tuple(Pod(name, version_of(pod, self._service)) for name, pod in sorted(pods.items()) if is_ready(pod))
        if ready != self._ready:
            log.info("pods: %s", ", ".join(f"{pod.name} {pod.version}" for pod in ready) or "none ready")
        self._ready = ready


def is_ready(pod: dict[str, Any]) -> bool:
    """Answer whether a pod may get traffic: its Ready condition is true and it is not being deleted."""
    conditions = pod.get("status", {}).get("conditions") or []
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def version_of(pod: dict[str, Any], service: str) -> str:
    """The tag of the image `registry.lab/<service>:<tag>` among the pod's containers, else "unknown"."""
    ours = re.compile(rf"registry\.lab/{re.escape(service)}:(\w[\w.-]*)")
    images = (ours.fullmatch(container["image"]) for container in pod["spec"]["containers"])
    return next((image[1] for image in images if image), "unknown")


@contextmanager
def _opened(response: BaseHTTPResponse) -> Iterator[BaseHTTPResponse]:
    """An answer of the API server for the time of a block, closed and given back at its end."""
    try:
        if response.status == 410:
            raise Stale("the list is too old")
        if response.status != 200:
            raise ValueError(f"the API server answered {response.status}")
        yield response
    finally:
        response.close()
        response.release_conn()
