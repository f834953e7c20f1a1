"""What an alerting system said, in our words: parsed leniently, believed strictly."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recovery.catalog import Catalogue
from recovery.errors import RecoveryError, Refused
from recovery.incidents import Cause, Source
from recovery.versions import parse_version, release_of


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alert that asks for a release to be taken back."""

    service: str
    version: str
    cause: Cause


class _Alert(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    startsAt: datetime  # noqa: N815 the vendor's name


class _Group(BaseModel):
    """Alertmanager's webhook payload, version 4 (template.Data and notify/webhook in its source)."""

    model_config = ConfigDict(extra="ignore")

    version: Literal["4"]
    alerts: list[_Alert] = Field(max_length=1000)


def read_alertmanager(payload: Mapping[str, object], catalogue: Catalogue) -> tuple[list[Alarm], list[str]]:
    """Read an Alertmanager group: the alarms to answer, and a sentence for each alert passed over.

    Only firing alerts that carry the label `ripcord: respond` are answered; each must name a service of the
    catalogue and a release tag. With the label `data: corrupt` a person is asked about the database, too.
    Raises Refused when the payload is not Alertmanager's, or when no alert that asks for an answer can be understood.
    """
    try:
        group = _Group.model_validate(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"not an Alertmanager webhook payload, {where}: {first['msg']}") from None
    alarms, passed, refused = [], [], []
    for alert in group.alerts:
        name = alert.labels.get("alertname", "alert without a name")[:120]
        if alert.status != "firing" or alert.labels.get("ripcord") != "respond":
            passed.append(f"{name}: {alert.status}, nothing to answer")
            continue
        if "version" not in alert.labels:
            passed.append(f"{name}: names no version: the monitor judges the service")
            continue
        try:
            alarms.append(_alarm(name, alert, catalogue))
        except RecoveryError as error:
            refused.append(f"{name}: {error}")
    if refused and not alarms:
        raise Refused("; ".join(refused))
    return alarms, passed + refused


def _alarm(name: str, alert: _Alert, catalogue: Catalogue) -> Alarm:
    if "service" not in alert.labels:
        raise Refused("it has no label 'service': add it to the rule")
    service = catalogue.service(alert.labels["service"][:120])
    version = parse_version(release_of(alert.labels["version"], service.tag_prefix), service.tag_prefix)
    if alert.startsAt.tzinfo is None:
        raise Refused(f"its startsAt {alert.startsAt} has no time zone: send RFC 3339")
    said = alert.annotations.get("description") or alert.annotations.get("summary") or name
    sentence = " ".join(f"{name}: {said}".split())[:2000]
    return Alarm(
        service.name,
        version.tag,
        Cause(
            sentence=sentence,
            source=Source.ALERTMANAGER,
            seen_at=alert.startsAt,
            data_corrupt=alert.labels.get("data") == "corrupt",
        ),
    )
