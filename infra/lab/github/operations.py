"""The operations of GitHub's own description: which one a call is about, and what is said of it."""

import re
from dataclasses import dataclass
from typing import Any

from infra.lab.github.undocumented import OLD_ADDRESSES

Json = dict[str, Any]
_NAMED = re.compile(r"\{\w+\}")


@dataclass(frozen=True)
class Operation:
    """One operation, how its path is recognised, and where it stands in the description."""

    method: str
    template: str
    pattern: re.Pattern[str]
    place: str
    said: Json

    @property
    def name(self) -> str:
        """GitHub's own name of it, as `pulls/create`."""
        return str(self.said["operationId"])


class Operations:
    """All of a description."""

    def __init__(self, document: Json) -> None:
        """Take the (reduced) document."""
        self._document = document
        self._all = [
            self._operation(method, template, path[method])
            for template, path in document["paths"].items()
            for method in ("get", "put", "post", "patch", "delete")
            if method in path
        ]

    def find(self, method: str, path: str) -> tuple[Operation | None, dict[str, str]]:
        """The operation of a call and the values in its path: that with most literal text, as a `{ref}` has slashes."""
        for old, present in OLD_ADDRESSES.items() if method == "GET" else ():
            path = old.sub(present, path)
        fits = [
            (operation, found.groupdict())
            for operation in self._all
            if operation.method == method and (found := operation.pattern.fullmatch(path))
        ]
        return max(fits, key=lambda fit: len(_NAMED.sub("", fit[0].template)), default=(None, {}))

    def resolved(self, part: Json) -> Json:
        """What a part of the description refers to, or the part itself."""
        while "$ref" in part:
            found: Any = self._document
            for name in part["$ref"].split("/")[1:]:
                found = found[name]
            part = found
        return part

    def names(self, schema: Json) -> set[str]:
        """The keys that an object has, by any of a schema's choices; none when nothing is said of them."""
        schema = self.resolved(schema)
        parts = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word, ())]
        return set(schema.get("properties", ())).union(*map(self.names, parts))

    def _operation(self, method: str, template: str, said: Json) -> Operation:
        parameters = [self.resolved(each) for each in said.get("parameters", ())]
        long = {each["name"] for each in parameters if each.get("x-multi-segment")}
        parts = [
            f"(?P<{name}>{'.+' if name in long else '[^/]+'})" if name else re.escape(literal)
            for literal, name in re.findall(r"([^{]+)|\{(\w+)\}", template)
        ]
        place = f"#/paths/{template.replace('/', '~1')}/{method}"
        return Operation(method.upper(), template, re.compile("".join(parts)), place, said | {"parameters": parameters})
