"""The global switch on `confirm`: everything is planned, nothing is touched until a person says yes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.lab.process import wait_until
from infra.lab.world import World
from tests.acceptance.incidents import answer, call, prepare
from tests.acceptance.oracles import assert_restored_once, refs, told


@pytest.fixture(name="careful")
def _careful(lab: World) -> Iterator[None]:
    """People have turned the switch in the Prefect UI."""
    with lab.prefect.client() as client:
        client.post("variables/", json={"name": "ripcord_mode", "value": "confirm"}).raise_for_status()
        yield
        client.delete("variables/name/ripcord_mode").raise_for_status()


@pytest.mark.usefixtures("careful")
def test_nothing_is_touched_until_a_person_says_yes(lab: World, tmp_path: Path) -> None:
    """The run waits, people are told once, cluster and refs stay; the yes takes the release back, once."""
    service = lab.quiet[10]
    prepare(lab, service)
    before = refs(lab, service)

    call(lab, service)
    run = lab.wait_for_run("respond", f"respond {service} v1.2.0", ("PAUSED", "FAILED", "COMPLETED"), 90)

    assert run["state_type"] == "PAUSED", run["state"]
    assert (lab.version_served(service), refs(lab, service)) == ("v1.2.0", before)
    assert len(told(lab, f"{service} v1.2.0: take it back?")) == 1

    asked = question(lab, service)
    with lab.prefect.client() as client:
        resume = f"flow_runs/{run['id']}/resume"
        empty = client.post(resume, json={}).json()  # no answer is no yes, whether the server takes it or not
        if empty.get("status") == "ACCEPT":
            wait_until(lambda: question(lab, service) != asked, what="the question put again", seconds=120, every=0.5)
        assert lab.version_served(service) == "v1.2.0"
        answer(lab, run, confirm=True)
    ended = lab.wait_for_run("respond", f"respond {service} v1.2.0", ("COMPLETED", "FAILED"), 180)
    assert ended["state_type"] == "COMPLETED", ended["state"]
    assert_restored_once(lab, service, tmp_path)
    assert len(told(lab, f"{service} v1.2.0: take it back?")) == 1


def question(lab: World, service: str) -> str:
    """The key under which the run now waits for an answer."""
    run = lab.wait_for_run("respond", f"respond {service} v1.2.0", ("PAUSED", "FAILED", "COMPLETED"), 60)
    return str(run["state"]["state_details"]["pause_key"])
