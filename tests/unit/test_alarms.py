"""What an alerting system may say, and what is made of it."""

from typing import Any

import pytest

from recovery.alarms import read_alertmanager
from recovery.catalog import parse_catalogue
from recovery.errors import Refused
from recovery.incidents import Source

CATALOGUE = parse_catalogue("services: [{name: shop, namespace: acme, repository: acme/shop}]")


def alert(name: str = "CheckoutFailing", *, without: str = "", **labels: str) -> dict[str, Any]:
    """One alert as Alertmanager 0.28 sends it."""
    made = {"alertname": name, "service": "shop", "version": "v1.2.0", "severity": "critical", "ripcord": "respond"}
    made |= labels
    made.pop(without, None)
    return {
        "status": "firing", "labels": made, "annotations": {"summary": "shop v1.2.0", "description": "31 of\n 100"},
        "startsAt": "2026-01-01T11:59:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph", "fingerprint": "0123456789abcdef",
    }  # fmt: skip


def group(*alerts: dict[str, Any], version: str = "4") -> dict[str, Any]:
    """The webhook's payload around them."""
    return {
        "receiver": "ripcord", "status": "firing", "alerts": list(alerts), "groupLabels": {}, "commonLabels": {},
        "commonAnnotations": {}, "externalURL": "http://alertmanager", "version": version, "groupKey": "{}",
        "truncatedAlerts": 0,
    }  # fmt: skip


def test_a_probe_that_names_no_version_is_left_to_the_monitor() -> None:
    """ProbeFailing asks the service and not a version: passed over with a sentence, not refused."""
    alarms, passed = read_alertmanager(group(alert("ProbeFailing", without="version", probe="checkout")), CATALOGUE)

    assert alarms == []
    assert passed == ["ProbeFailing: names no version: the monitor judges the service"]


def test_one_alert_that_is_not_understood_does_not_silence_the_others() -> None:
    """The good one is answered, the other one told of."""
    alarms, passed = read_alertmanager(group(alert("Typo", service="shp"), alert()), CATALOGUE)

    assert [(each.service, each.version) for each in alarms] == [("shop", "v1.2.0")]
    assert len(passed) == 1
    assert passed[0].startswith("Typo: no service 'shp'")


def test_the_cause_carries_who_saw_what_and_when_on_one_line() -> None:
    """The description before the summary, blanks folded, the alert's own time."""
    cause = read_alertmanager(group(alert()), CATALOGUE)[0][0].cause

    assert (cause.sentence, cause.source) == ("CheckoutFailing: 31 of 100", Source.ALERTMANAGER)
    assert str(cause.seen_at) == "2026-01-01 11:59:00.123000+00:00"


@pytest.mark.parametrize(("label", "corrupt"), [({}, False), ({"data": "corrupt"}, True), ({"data": "fine"}, False)])
def test_an_alert_may_say_that_data_are_corrupt(label: dict[str, str], corrupt: bool) -> None:
    """Only this one word of this one label makes people be asked about the database."""
    alarms, _ = read_alertmanager(group(alert(**label)), CATALOGUE)

    assert [each.cause.data_corrupt for each in alarms] == [corrupt]


def test_a_sentence_without_end_is_cut() -> None:
    """At 2,000 characters, the cause's limit."""
    endless = alert() | {"annotations": {"description": "x" * 50_000}}

    assert len(read_alertmanager(group(endless), CATALOGUE)[0][0].cause.sentence) == 2000


@pytest.mark.parametrize("count", [1000, 1001])
def test_a_group_is_bounded(count: int) -> None:
    """A thousand alerts are read, one more is refused."""
    if count > 1000:
        with pytest.raises(Refused, match="alerts: List should have at most 1000"):
            read_alertmanager(group(*[alert()] * count), CATALOGUE)
    else:
        assert len(read_alertmanager(group(*[alert()] * count), CATALOGUE)[0]) == count


@pytest.mark.parametrize("payload", [{}, {"alerts": []}, {"version": "4"}, group(version="3"), group({"status": "?"})])
def test_what_is_not_alertmanagers_is_refused_in_one_line(payload: dict[str, Any]) -> None:
    """It names the field that is wrong."""
    with pytest.raises(Refused, match="not an Alertmanager webhook payload") as refused:
        read_alertmanager(payload, CATALOGUE)

    assert "\n" not in str(refused.value)


def test_a_version_is_named_as_its_image_names_it() -> None:
    """A label that comes from the image cannot have the slash of the service's tags."""
    catalogue = parse_catalogue("services: [{name: shop, namespace: acme, repository: acme/all, tag_prefix: shop/v}]")

    said = [alert(version=version) for version in ("shop/v1.2.0", "shop-v1.2.0", "v1.2.0")]

    assert {each.version for each in read_alertmanager(group(*said), catalogue)[0]} == {"shop/v1.2.0"}
