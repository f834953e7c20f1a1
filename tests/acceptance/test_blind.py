"""Prometheus is down while a release is under watch: blind is a verdict of its own."""

import yaml

from infra.lab.process import wait_until
from infra.lab.world import World
from tests.acceptance.oracles import refs, standing, told


def verdict(lab: World, key: str) -> str:
    """The newest verdict artifact of this key, as Prefect's API gives it."""
    body = {"artifacts": {"key": {"any_": [key]}}, "sort": "UPDATED_DESC", "limit": 1}
    with lab.prefect.client() as client:
        found = client.post("artifacts/filter", json=body).raise_for_status().json()
    return str(found[0]["data"]) if found else ""


def test_blind_people_told_nothing_touched_and_then_it_goes_on(lab: World) -> None:
    """Minutes without Prometheus: one message, no certificate, no revert, and sight afterwards."""
    set_watch(lab, "depot", "30m")
    lab.teams["depot"].release("v1.1.0")
    lab.pipeline.wait_for("acme/depot", "v1.1.0")
    key = "verdict-depot-v1-1-0"
    wait_until(lambda: ": watch" in verdict(lab, key), what="the watch", seconds=90, every=1)
    before = (refs(lab, "depot"), len(lab.runs("respond")))

    lab.prometheus.stop()
    wait_until(lambda: ": blind" in verdict(lab, key), what="blindness", seconds=60, every=1)
    wait_until(lambda: told(lab, "depot v1.1.0: blind"), what="the message", seconds=130, every=1)

    assert (refs(lab, "depot"), len(lab.runs("respond"))) == before
    assert standing(lab, "depot", "v1.1.0") is None
    assert lab.version_served("depot") == "v1.1.0"

    lab.prometheus.start()
    wait_until(lambda: ": watch" in verdict(lab, key), what="sight", seconds=240, every=1)
    assert len(told(lab, "depot v1.1.0: blind")) == 1
    assert standing(lab, "depot", "v1.1.0") is None


def set_watch(lab: World, service: str, watch: str) -> None:
    """Write a service's monitoring window into the catalogue, which every cycle reads anew."""
    path = lab.directory / "services.yaml"
    catalogue = yaml.safe_load(path.read_text())
    for entry in catalogue["services"]:
        if entry["name"] == service:
            entry["watch"] = watch
            entry["limits"] = {"window": "90s"}  # a hole in the window keeps us blind, so it is short here
    path.write_text(yaml.safe_dump(catalogue))
