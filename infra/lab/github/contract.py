"""GitHub's own description of its API as a judge: what of a request or an answer is not as described.

A description knows no meanings: those are the matter of the tests. Keys that it does not name are let pass in an
answer; in a request they would do nothing, which is never what the caller means.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from openapi_schema_validator import OAS30Validator, oas30_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT4

from infra.lab.github.operations import Json, Operation, Operations
from infra.lab.github.undocumented import EVERYWHERE, PAGES, PROBED, UNDOCUMENTED

DOCUMENT = "urn:github"
ERROR = "#/components/schemas/basic-error"
LONGEST = 300


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the wire."""

    method: str
    path: str
    """Decoded, and without what comes before `/repos` or `/user`."""
    query: str
    sent: bytes
    status: int
    kind: str
    """The media type of the answer."""
    answer: bytes
    broken: bool = False
    """The answer is a fault's that a test asked for."""


class Contract:
    """The description, ready to judge."""

    def __init__(self, document: Json) -> None:
        """Take the (reduced) document of the description."""
        self._operations = Operations(document)
        self._events = document["x-webhooks"].keys()
        whole = DRAFT4.create_resource(document)
        self._registry: Registry[Any] = Registry().with_resource(DOCUMENT, whole)
        self._validator = cache(self._new_validator)

    def objections(self, exchange: Exchange) -> list[str]:
        """What GitHub's description has against an exchange, as sentences; none when it is as described."""
        call = f"{exchange.method} {exchange.path}"
        operation, values = self._operations.find(exchange.method, exchange.path)
        if operation is None:
            return [f"{call}, answered {exchange.status}: GitHub describes no such operation"]
        asked = [*self._parameters(operation, values, exchange.query), *self._sent(operation, exchange)]
        if operation.name in PROBED and exchange.sent == b"{}" and exchange.status in (403, 404, 422):
            asked = []
        answered = self._answered(operation, exchange)
        return [
            *(
                f"{call}, answered {exchange.status}, asked what {operation.name} does not take: {each}"
                for each in asked
            ),
            *(f"{call} was answered {exchange.status}, not as {operation.name} is: {each}" for each in answered),
        ]

    def objections_to_event(self, event: str, payload: Json) -> list[str]:
        """What GitHub's description has against the event of a webhook."""
        action = payload.get("action")
        name = f"{event}_{action}".replace("_", "-") if action else event
        if name not in self._events:
            return [f"webhook {name}: GitHub describes no such event"]
        found = self._complaints(f"#/x-webhooks/{name}/post/requestBody/content/application~1json/schema", payload)
        return [f"webhook {name} tells what GitHub's does not: {each}" for each in found]

    def _parameters(self, operation: Operation, values: Mapping[str, str], query: str) -> Iterator[str]:
        known = {(each["in"], each["name"]): each for each in operation.said["parameters"]}
        given = {("path", name): value for name, value in values.items()}
        given |= {("query", name): value for name, value in parse_qsl(query, keep_blank_values=True)}
        for where, name in given:
            if (where, name) not in known and name not in PAGES:
                yield f"it has no `{name}` in its {where}"
            elif (where, name) in known:
                schema = known[where, name]["schema"]
                found = self._against(schema).iter_errors(_typed(schema, given[where, name]))
                yield from (f"{name}: {_brief(error)}" for error in found)
        for where, name in known:
            if where == "query" and known[where, name].get("required") and (where, name) not in given:
                yield f"`{name}` is missing in its query"

    def _sent(self, operation: Operation, exchange: Exchange) -> Iterator[str]:
        said = self._operations.resolved(operation.said.get("requestBody") or {})
        schema = said.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            if exchange.sent not in (b"", b"{}", b"null") and "content" not in said:
                yield "it has no body"
            return
        if not exchange.sent:
            if said.get("required"):
                yield "it must have a body"
            return
        body, complaint = _parsed(exchange.sent)
        if complaint:
            yield complaint
            return
        place = f"{operation.place}/requestBody/content/application~1json/schema"
        yield from self._complaints(place, body)
        names = self._operations.names(schema)
        if names and isinstance(body, dict):
            yield from (f"it has no `{name}` in its body" for name in body if name not in names)

    def _answered(self, operation: Operation, exchange: Exchange) -> Iterator[str]:
        if exchange.status in (204, 304) and exchange.answer:
            yield "it has a body"
        if exchange.status == 304:
            return
        described = operation.said["responses"].get(str(exchange.status))
        waived = exchange.status in EVERYWHERE or (operation.name, exchange.status) in UNDOCUMENTED
        if described is None and not waived and not exchange.broken:
            yield f"it has no such status, only {', '.join(operation.said['responses'])}"
            return
        if exchange.status == 204:
            return
        body, complaint = _parsed(exchange.answer)
        if complaint or not exchange.kind.startswith("application/json"):
            yield complaint or f"it is {exchange.kind or 'of no media type'}"
            return
        place = self._place_of_answer(operation, exchange, described)
        yield from self._complaints(place, body)

    def _place_of_answer(self, operation: Operation, exchange: Exchange, described: Json | None) -> str:
        if described is None or exchange.broken:
            return ERROR
        place = f"{operation.place}/responses/{exchange.status}"
        if "$ref" in described:
            place, described = described["$ref"], self._operations.resolved(described)
        return f"{place}/content/application~1json/schema" if "content" in described else ERROR

    def _complaints(self, place: str, body: Any) -> Iterator[str]:
        for error in self._validator(place).iter_errors(body):
            yield _brief(error)

    def _new_validator(self, place: str) -> Any:
        return self._against({"$ref": f"{DOCUMENT}{place}"})

    def _against(self, schema: Json) -> Any:
        return OAS30Validator(schema, registry=self._registry, format_checker=oas30_format_checker)


def _typed(schema: Json, text: str) -> Any:
    """A parameter as what it is meant to be, where it can be read so."""
    if schema.get("type") == "integer" and text.lstrip("-").isdecimal():
        return int(text)
    if schema.get("type") == "boolean" and text in ("true", "false"):
        return text == "true"
    return text.split(",") if schema.get("type") == "array" else text


def _parsed(body: bytes) -> tuple[Any, str]:
    try:
        return json.loads(body), ""
    except ValueError:
        return None, "its body is no JSON"


def _brief(error: Any) -> str:
    """What is wrong, and where; of a choice, what keeps it from each."""
    said = error.message if len(error.message) <= LONGEST else f"{error.message[:LONGEST]}..."
    first = {error.schema_path[0]: error for error in reversed(error.context or ())}
    choices = "".join(f"; choice {number} - {_brief(each)}" for number, each in sorted(first.items()))
    return f"{error.json_path}: {said}{choices}"
