"""Prometheus is down while a release is under watch: blind is a verdict of its own."""

import time

import pytest
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
    # A hole in the window keeps us blind, so it is short here.
    blind_and_back(lab, {"window": "90s"}, down_seconds=0, sight_seconds=240)


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_five_whole_minutes_of_blindness_with_the_plans_own_window(lab: World) -> None:
    """The same holds when Prometheus is away for as long as the window is."""
    blind_and_back(lab, {}, down_seconds=300, sight_seconds=480)


def blind_and_back(lab: World, limits: dict[str, str], *, down_seconds: float, sight_seconds: float) -> None:
    """Take Prometheus away, at least until people were told, and give it back."""
    set_watch(lab, "depot", "30m", limits)
    lab.teams["depot"].release("v1.1.0")
    lab.pipeline.wait_for("acme/depot", "v1.1.0")
    key = "verdict-depot-v1-1-0"
    wait_until(lambda: ": watch" in verdict(lab, key), what="the watch", seconds=90, every=1)
    before = (refs(lab, "depot"), len(lab.runs("respond")))

    lab.prometheus.stop()
    stopped = time.monotonic()
    wait_until(lambda: ": blind" in verdict(lab, key), what="blindness", seconds=60, every=1)
    wait_until(lambda: told(lab, "depot v1.1.0: blind"), what="the message", seconds=130, every=1)
    time.sleep(max(0.0, stopped + down_seconds - time.monotonic()))

    assert ": blind" in verdict(lab, key)
    assert (refs(lab, "depot"), len(lab.runs("respond"))) == before
    assert standing(lab, "depot", "v1.1.0") is None
    assert lab.version_served("depot") == "v1.1.0"

    lab.prometheus.start()
    wait_until(lambda: ": watch" in verdict(lab, key), what="sight", seconds=sight_seconds, every=1)
    assert len(told(lab, "depot v1.1.0: blind")) == 1
    assert standing(lab, "depot", "v1.1.0") is None


def set_watch(lab: World, service: str, watch: str, limits: dict[str, str]) -> None:
    """Write a service's monitoring window and limits into the catalogue, which every cycle reads anew."""
    path = lab.directory / "services.yaml"
    catalogue = yaml.safe_load(path.read_text())
    for entry in catalogue["services"]:
        if entry["name"] == service:
            entry["watch"] = watch
            entry["limits"] = limits
    path.write_text(yaml.safe_dump(catalogue))
