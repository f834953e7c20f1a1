"""What the kernel says about a process: the oracle beside what a server says about itself."""

from pathlib import Path

LISTEN = "0A"


def cmdline(pid: int) -> str:
    """The arguments of a process, which every user of the machine can read."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are there."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def listening(pid: int | None = None) -> set[str]:
    """The addresses (host:port) on which a process listens, or any process of this machine."""
    mine = _sockets(pid) if pid is not None else None
    tables = [Path(f"/proc/net/{table}") for table in ("tcp", "tcp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return {_address(row[1]) for row in rows if row[3] == LISTEN and (mine is None or row[9] in mine)}


def _sockets(pid: int) -> set[str]:
    links = (str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}


def _address(told: str) -> str:
    """`0100007F:1F90` in words; an address of IPv6 stays as it is."""
    host, _, port = told.partition(":")
    words = ".".join(str(byte) for byte in bytes.fromhex(host)[::-1]) if len(host) == 8 else host
    return f"{words}:{int(port, 16)}"
