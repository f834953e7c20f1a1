"""A salvage without Prefect: what people are told, shown and asked, and what they answer."""

import csv
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import flows.salvage
from recovery.catalog import Service
from tasks.salvage_form import SalvageAnswer


@dataclass
class Talk:
    """What was said; `answers` are given one after the other."""

    answers: list[SalvageAnswer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    told: list[tuple[str, ...]] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)

    def tell(self, *said: str) -> str:
        """Answers the title."""
        self.told.append(said)
        return said[1]

    def ask(self, form: type[SalvageAnswer], question: str, key: str) -> SalvageAnswer:
        """The next answer."""
        self.asked.append(question)
        return self.answers.pop(0)


def listen(monkeypatch: pytest.MonkeyPatch) -> Talk:
    """Stand between the flow and people."""
    talk = Talk()
    for what, instead in {
        "one_at_a_time": lambda service: nullcontext(),
        "ask_person": talk.ask,
        "this_run": lambda: "http://prefect/runs/1",
        "show": lambda key, page, said: talk.shown.update({key: page}),
        "notify": talk.tell,
    }.items():
        monkeypatch.setattr(flows.salvage, what, instead)
    return talk


def salvage(service: Service, *, rehearse: bool = True) -> str:
    """Walk the flow for v1.2.0 of a service."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows.salvage, "read_service", lambda name: service)
        return str(flows.salvage.salvage.fn(service.name, "v1.2.0", rehearse=rehearse))


def found_in(export: Path) -> dict[str, int]:
    """How many rows of each kind the one table of an export has in its CSV."""
    [path] = (export / "csv").iterdir()
    with path.open(newline="") as file:
        kinds = [row["kind"] for row in csv.DictReader(file)]
    return {kind: kinds.count(kind) for kind in kinds}
