"""Alerts from outside: many copies are one incident, and a wrong caller is told so."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.lab.world import World
from tests.acceptance.incidents import alert, prepare
from tests.acceptance.oracles import assert_restored_once, refs


def _post(lab: World, body: Any, token: str | None = None, source: str = "alertmanager") -> httpx.Response:
    headers = {"Authorization": f"Bearer {lab.receiver_token if token is None else token}"}
    return httpx.post(f"{lab.receiver_url}/alerts/{source}", json=body, headers=headers, timeout=60)


def test_a_hundred_copies_of_an_alert_are_one_run(lab: World, tmp_path: Path) -> None:
    """60 concurrent copies, 39 after the recovery and one late answer all name the same run."""
    prepare(lab, "case0")

    with ThreadPoolExecutor(20) as threads:
        early = list(threads.map(lambda _: _post(lab, alert("case0", "v1.2.0")), range(60)))
    lab.wait_for_run("respond", "respond case0 v1.2.0", ("COMPLETED", "FAILED", "CRASHED"), 180)
    late = [_post(lab, alert("case0", "v1.2.0")) for _ in range(40)]

    answers = [answer.json()["runs"][0] for answer in early + late if answer.status_code == 202]
    assert len(answers) == 100
    assert len({answer["id"] for answer in answers}) == 1
    assert sum(answer["fresh"] for answer in answers) >= 1
    assert [run["state_type"] for run in lab.runs("respond") if "case0" in run["name"]] == ["COMPLETED"]
    assert_restored_once(lab, "case0", tmp_path)


@pytest.mark.parametrize(
    ("token", "source", "body", "status", "words"),
    [
        ("wrong", "alertmanager", {}, 401, "bearer token"),
        (None, "nagios", {}, 404, "known are alertmanager"),
        (None, "alertmanager", [], 422, "not a JSON object"),
        (None, "alertmanager", {"version": "3"}, 422, "not an Alertmanager webhook payload"),
        (None, "alertmanager", alert("nope", "v1.2.0"), 422, "no service 'nope'"),
        (None, "alertmanager", alert("search", "--force"), 422, "not a release tag"),
        (None, "alertmanager", alert("search", "$(id)"), 422, "not a release tag"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_sentence(
    lab: World, token: str | None, source: str, body: Any, status: int, words: str
) -> None:
    """A wrong token, source, payload, service or tag: a status, one sentence, and nothing has changed."""
    before = (refs(lab, "search"), len(lab.runs("respond")))

    answer = _post(lab, body, token, source)

    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert (refs(lab, "search"), len(lab.runs("respond"))) == before


def test_a_body_that_is_too_large_is_refused_before_it_is_read(lab: World) -> None:
    """Two megabytes are answered 413."""
    headers = {"Authorization": f"Bearer {lab.receiver_token}"}

    answer = httpx.post(f"{lab.receiver_url}/alerts/alertmanager", content=b"x" * (2 << 20), headers=headers)

    assert answer.status_code == 413
