"""The demo's timeline, put together from the systems that know it, not from our own report."""

import json
from datetime import UTC, datetime

import httpx

from infra.lab.world import World


def timeline(lab: World, service: str, faulty: str, patch: str) -> list[tuple[str, str, str, str]]:
    """Rows of time, time since the first, what, and source; in order."""
    counted = lab.customers[service].count()
    run = lab.runs("respond")[0]
    events = [
        (_finished(lab, service, faulty), f"{faulty} deployed", "pipeline"),
        (counted.first_failure, "first failed customer", "customers"),
        (_time(run["created"]), f"detected ({run['parameters']['because']['source']})", "Prefect"),
        (_marked(lab, service, faulty), "cluster undone", "annotation of the faulty revision"),
        (counted.last_failure, "last failed customer", "customers"),
        (_released(lab, service, patch), f"{patch} tagged and published", "GitHub Release"),
        (_finished(lab, service, patch), f"{patch} deployed: restored", "pipeline"),
        (_time(run["end_time"]), "post-mortem written, develop synchronised, stakeholders told", "Prefect"),
    ]
    known = sorted((at, what, source) for at, what, source in events if at)
    return [
        (f"{at:%H:%M:%S}.{at.microsecond // 100000}", f"+{(at - known[0][0]).total_seconds():.1f} s", what, source)
        for at, what, source in known
    ]


def _finished(lab: World, service: str, tag: str) -> datetime | None:
    runs = lab.pipeline.runs(f"acme/{service}", tag)
    return _time(runs[-1]["ended_at"]) if runs else None


def _marked(lab: World, service: str, version: str) -> datetime | None:
    sets = json.loads(lab.cluster.kubectl("-n", "acme", "get", "replicasets", "-l", f"app={service}", "-o", "json"))
    for each in sets["items"]:
        image = each["spec"]["template"]["spec"]["containers"][0]["image"]
        for key, value in each["metadata"].get("annotations", {}).items():
            if key.startswith("ripcord.dev/verdict.") and image.endswith(f":{version}"):
                return _time(json.loads(value)["at"])
    return None


def _released(lab: World, service: str, tag: str) -> datetime | None:
    url = f"{lab.host.api_url}/repos/acme/{service}/releases/tags/{tag}"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {lab.host.token('reader')}"}, timeout=10)
    return _time(answer.json()["published_at"]) if answer.is_success else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC) if text else None
