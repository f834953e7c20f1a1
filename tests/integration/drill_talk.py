"""A drill without Prefect: what people are told and shown, and what is kept of it."""

from contextlib import nullcontext

import pytest

import flows.drill
from recovery.catalog import Service
from recovery.drills import Drill, DrillsFailed
from tasks.postgres.drilling import read_drills


def listen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What was shown and told, instead of showing and telling it."""
    told: list[tuple[str, ...]] = []
    monkeypatch.setattr(flows.drill, "one_at_a_time", lambda service: nullcontext())
    monkeypatch.setattr(flows.drill, "show", lambda key, page, said: told.append(("show", key, page)))
    monkeypatch.setattr(flows.drill, "notify", lambda *said: told.append(("notify", *said)))
    return told


def drill(service: Service) -> str:
    """The whole flow for one service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.drill, "read_service", lambda name: service)
        return flows.drill.drill.fn(service.name)


def failed(service: Service) -> Drill:
    """The line of a drill that must not hold."""
    with pytest.raises(DrillsFailed):
        drill(service)
    return read_drills.fn(service)[-1]
