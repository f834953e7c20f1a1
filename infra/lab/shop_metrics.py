"""What the shop tells Prometheus about itself."""

import re

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

ROUTES = 64


class Metrics:
    """Counts the answers of one service, by version, route and status code."""

    def __init__(self, service: str) -> None:
        disable_created_metrics()
        self._service = service
        self._registry = CollectorRegistry()
        self._routes: set[str] = set()
        self._requests = Counter(
            "http_requests",
            "Requests answered.",
            ["service", "version", "route", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "http_request_duration_seconds",
            "Seconds from request to answer.",
            ["service", "version", "route"],
            registry=self._registry,
        )

    def count(self, version: str, path: str, code: int, seconds: float) -> None:
        """Count one answer."""
        route = self._route(path, code)
        self._requests.labels(self._service, version, route, str(code)).inc()
        self._seconds.labels(self._service, version, route).observe(seconds)

    def text(self) -> bytes:
        """All series in Prometheus' text format."""
        return generate_latest(self._registry)

    def _route(self, path: str, code: int) -> str:
        """The pattern of a path. What nobody serves, and what exceeds 64 patterns, is "other".

        Without this bound anybody who asks for random paths would fill Prometheus with series.
        """
        route = pattern(path)
        if route not in self._routes:
            if code == 404 or len(self._routes) >= ROUTES:
                return "other"
            self._routes.add(route)
        return route


def pattern(path: str) -> str:
    """A path with each segment that holds a digit as `{id}`: /orders/17 is /orders/{id}."""
    return re.sub(r"(?<=/)[^/]*\d[^/]*", "{id}", path)
