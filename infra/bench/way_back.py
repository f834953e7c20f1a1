"""Walk the gate or the restore of one database as its flow does, on the Prefect server of the environment.

usage: python -m infra.bench.way_back gate|restore VERSION, the service as JSON on standard input; prints one line of
JSON: the seconds of each step, and of the whole from the first step's begin to the last one's end.

Prometheus is not asked whether customers succeed: the bench has none.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from prefect import Task, flow

import flows.prepare_release
import flows.restore_database
import tasks.postgres.parachute
import tasks.postgres.points
import tasks.postgres.proving
import tasks.postgres.sides
from recovery.catalog import Service
from recovery.incidents import Cause
from recovery.restore_points import Then, WayBack
from tasks.postgres.places import Place

CORRUPT = Cause(sentence="every amount is another customer's")
AMCHECK = "look for damage"  # no step of its own, but a part of two
TO_THE_PROOF = "from the point to its proof"
POINT, PROVED = "point", "proved"  # moments, not steps: the server has made it, the set has it in writing
STAND = "stand"  # a part of a step: copy the set, start the server, replay up to the point
_seconds: dict[str, float] = {}


@flow(name="bench", flow_run_name="bench the gate", persist_result=True)
def gate(service: Service, version: str) -> bool:
    """The gate up to its proof; answers whether the way back is proved."""
    return flows.prepare_release.prove(service, version, rehearse=False).proved


@flow(name="bench", flow_run_name="bench the restore", persist_result=True)
def restore(service: Service, version: str) -> bool:
    """The restore after the question."""
    flows.restore_database.take_back(service, flows.restore_database.decide(service, version, CORRUPT))
    return True


def main(what: str, version: str) -> None:
    """Walk it, and say how long it took."""
    service = Service.model_validate_json(sys.stdin.read())
    vars(flows.restore_database)["wait_until_recovered"] = lambda entry: f"{entry.name} was not asked"
    for module in (tasks.postgres.parachute, tasks.postgres.proving):
        vars(module)["look_for_damage"] = _added(AMCHECK, vars(module)["look_for_damage"])
    vars(tasks.postgres.points)["write_then"] = _pointed(vars(tasks.postgres.points)["write_then"])
    vars(tasks.postgres.proving)["write_proof"] = _proved(vars(tasks.postgres.proving)["write_proof"])
    vars(tasks.postgres.sides)["stand"] = _added(STAND, vars(tasks.postgres.sides)["stand"])
    type.__setattr__(Task, "__call__", _timed(Task.__call__))
    done = {"gate": gate, "restore": restore}[what](service, version)
    if not done:
        raise SystemExit(f"the way back of {version} was not proved")
    if POINT in _seconds:
        _seconds[TO_THE_PROOF] = _seconds.pop(PROVED) - _seconds.pop(POINT)
    sys.stdout.write(json.dumps({"whole": _seconds.pop("end") - _seconds.pop("begin"), "steps": _seconds}) + "\n")


def _timed(call: Callable[..., Any]) -> Callable[..., Any]:
    def step(self: Task[..., Any], *given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        _seconds.setdefault("begin", began)
        try:
            return call(self, *given, **named)
        finally:
            _seconds["end"] = time.perf_counter()
            _seconds[self.name] = _seconds.get(self.name, 0.0) + _seconds["end"] - began

    return step


def _pointed(write: Callable[[Place, Then], None]) -> Callable[[Place, Then], None]:
    """When the point was made by the server's clock, which is ours: it is on this machine."""

    def noted(place: Place, then: Then) -> None:
        _seconds[POINT] = time.perf_counter() - (time.time() - then.made_at.timestamp())
        write(place, then)

    return noted


def _proved(write: Callable[[Place, WayBack], None]) -> Callable[[Place, WayBack], None]:
    def noted(place: Place, way: WayBack) -> None:
        write(place, way)
        _seconds.setdefault(PROVED, time.perf_counter())

    return noted


def _added(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def part(*given: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*given, **named)
        finally:
            _seconds[name] = _seconds.get(name, 0.0) + time.perf_counter() - began

    return part


if __name__ == "__main__":
    main(*sys.argv[1:])
