"""Where the clients of a database are led: by a line of PgBouncer's, or by the address in a Secret."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

from recovery.errors import Refused

# key = value, key='it''s quoted': how PgBouncer reads the right side of a line of its [databases] section.
_PAIR = re.compile(r"\s*([A-Za-z_]+)\s*=\s*(?:'((?:[^']|'')*)'|(\S*))")


@dataclass(frozen=True, slots=True)
class Route:
    """Where clients are led now."""

    way: str  # what leads them, as one would name it to a person
    host: str
    port: int
    paused: bool = False
    sessions: bool = False  # a client keeps its server connection until it leaves: a pause waits for that

    def leads_to(self, host: str, port: int) -> bool:
        """Answer whether this is the address."""
        return (self.host, self.port) == (host, port)

    def __str__(self) -> str:
        """The address."""
        return f"{self.host}:{self.port}"


def read_line(text: str, alias: str) -> tuple[str, int] | None:
    """Host and port that a [databases] section has for an alias; None when it does not have the alias."""
    for line in text.splitlines():
        name, _, right = line.partition("=")
        if _is_alias(name, alias):
            pairs = _pairs(right)
            return pairs.get("host", ""), int(pairs.get("port", "5432"))
    return None


def reroute(text: str, alias: str, host: str, port: int) -> str:
    """The same section with another address for one alias; all else stays as it stands, comments included.

    Raises Refused when the alias has no line, or two: PgBouncer takes the last, and a person may have meant the first.
    """
    lines, found = text.splitlines(keepends=True), 0
    for number, line in enumerate(lines):
        name, _, right = line.partition("=")
        if _is_alias(name, alias):
            pairs = {**_pairs(right), "host": host, "port": str(port)}
            ending = line[len(line.rstrip("\r\n")) :]
            lines[number] = f"{name}= {' '.join(f'{key}={_quoted(value)}' for key, value in pairs.items())}{ending}"
            found += 1
    if found != 1:
        raise Refused(f"the databases_file has {found} lines for {alias} and not one: write `{alias} = host=H port=P`")
    return "".join(lines)


def _is_alias(name: str, alias: str) -> bool:
    return name.strip().strip('"') == alias


def _pairs(right: str) -> dict[str, str]:
    return {key: (quoted or bare).replace("''", "'") for key, quoted, bare in _PAIR.findall(right)}


def _quoted(value: str) -> str:
    return value if re.fullmatch(r"[^\s']+", value) else "'" + value.replace("'", "''") + "'"


def address_in(url: str) -> tuple[str, int]:
    """Host and port of a conninfo URL. Raises Refused when it is none: nothing of it is repeated, it holds a secret."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("postgres", "postgresql") and parts.hostname and "," not in parts.netloc:
            return parts.hostname, parts.port or 5432
    except ValueError:
        pass
    raise Refused(
        "the Secret holds no postgresql:// URL with one host: write postgresql://user:password@host:port/name"
    )


def readdress(url: str, host: str, port: int) -> str:
    """The same URL with another address; user, password, name and options stay."""
    address_in(url)
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    shown = f"[{host}]" if ":" in host else quote(host)
    return urlunsplit(parts._replace(netloc=f"{user}{at}{shown}:{port}"))
