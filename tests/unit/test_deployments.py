"""Every deployment can be loaded as Prefect loads it, and shows a person a form that explains itself."""

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from recovery.catalog import parse_catalogue
from recovery.incidents import Cause

ROOT = Path(__file__).parents[2]
DEPLOYED = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())["deployments"]


def load(deployment: dict[str, str]) -> Flow[..., Any]:
    """Load a flow as Prefect's runner does."""
    return load_flow_from_entrypoint(deployment["entrypoint"], use_placeholder_flow=False)


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda each: each["name"])
def test_an_entrypoint_loads_to_the_flow_of_its_name(deployment: dict[str, str]) -> None:
    """By its dotted path, so that no class exists twice."""
    flow = load(deployment)

    assert ":" not in deployment["entrypoint"]
    assert flow.name == deployment["name"]
    assert flow.fn.__module__ == deployment["entrypoint"].rpartition(".")[0]


@pytest.mark.parametrize("deployment", DEPLOYED, ids=lambda each: each["name"])
def test_every_field_of_a_form_is_described(deployment: dict[str, str]) -> None:
    """Also those of the cause; and a person's run rehearses unless told otherwise."""
    flow = load(deployment)

    for name, field in flow.parameters.properties.items():
        assert field.get("description"), f"{deployment['name']}: {name}"
    for name, cause_field in Cause.model_json_schema()["properties"].items():
        assert cause_field.get("description"), name
    assert flow.parameters.properties.get("rehearse", {"default": True})["default"] is True


def test_the_catalogue_that_is_shipped_is_valid() -> None:
    """It is the example that people start from."""
    path = ROOT / "deployments" / "services.yaml"

    assert parse_catalogue(path.read_text()).service("shop").repository == "acme/shop"


@pytest.mark.parametrize(
    "deployment", [each for each in DEPLOYED if each["name"] != "monitor"], ids=lambda d: d["name"]
)
def test_a_runbook_page_has_the_flows_numbered_steps(deployment: dict[str, str]) -> None:
    """Every flow has its page, with as many steps as its docstring."""
    flow = load(deployment)
    page = (ROOT / "docs" / "runbooks" / f"{deployment['name']}.md").read_text()
    module = str(sys.modules[flow.fn.__module__].__doc__)

    numbers = [number for number in range(1, 10) if f"{number}. " in module]

    assert numbers == [number for number in range(1, 10) if f"\n{number}. " in page]
