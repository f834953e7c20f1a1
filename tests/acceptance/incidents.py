"""Make an incident on a quiet service: two releases deployed, and the alert that convicts the second."""

from datetime import UTC, datetime
from typing import Any

import httpx

from infra.lab.process import wait_until
from infra.lab.team import Team
from infra.lab.world import World

MIGRATION = {"migrations/0002_coupons.sql": "ALTER TABLE carts RENAME COLUMN sku TO article;\n"}


def prepare(lab: World, service: str) -> None:
    """Release and deploy v1.0.0, v1.1.0 and v1.2.0 of a quiet service."""
    team = Team(lab.host, directory=lab.directory / "team", service=service)
    team.start()
    for version in ("v1.0.0", "v1.1.0", "v1.2.0"):
        if version != "v1.0.0":
            team.release(version)
        deploy(lab, service, version)


def prepare_migration(lab: World, service: str) -> None:
    """The same of one whose v1.2.0 brings a migration that v1.1.0 does not run with."""
    team = Team(lab.host, directory=lab.directory / "team", service=service)
    team.start()
    deploy(lab, service, "v1.0.0")
    team.release("v1.1.0")
    deploy(lab, service, "v1.1.0")
    team.commit_on("develop", MIGRATION, "Keep the coupon with the cart")
    team.release("v1.2.0")
    deploy(lab, service, "v1.2.0")


def deploy(lab: World, service: str, version: str) -> None:
    """Wait until the pipeline has deployed a release that was tagged."""
    ended = lab.pipeline.wait_for(f"acme/{service}", version)
    assert ended["state"] == "success", ended


def alert(service: str, version: str) -> dict[str, Any]:
    """What Alertmanager would send."""
    labels = {"alertname": "CheckoutFailing", "service": service, "version": version, "ripcord": "respond"}
    return {
        "version": "4",
        "groupKey": "{}",
        "status": "firing",
        "receiver": "ripcord",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": {"description": "31 of 100 checkouts failed in 5 minutes."},
                "startsAt": datetime.now(UTC).isoformat(),
                "endsAt": "0001-01-01T00:00:00Z",
                "fingerprint": "c0ffee",
            }
        ],
    }


def call(lab: World, service: str) -> None:
    """What Alertmanager does."""
    headers = {"Authorization": f"Bearer {lab.receiver_token}"}
    url = f"{lab.receiver_url}/alerts/alertmanager"
    httpx.post(url, json=alert(service, "v1.2.0"), headers=headers, timeout=60).raise_for_status()


def answer(lab: World, run: dict[str, Any], **given: object) -> None:
    """Fill in the form on a run's page; it is there a moment after the run is shown as paused."""

    def taken() -> bool:
        with lab.prefect.client() as client:
            said = client.post(f"flow_runs/{run['id']}/resume", json={"run_input": given}).raise_for_status().json()
        return bool(said["status"] == "ACCEPT")

    wait_until(taken, what=f"an answer to {run['name']}", seconds=20, every=0.5)
