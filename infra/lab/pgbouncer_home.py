"""Which PgBouncer it is: the machine's, else Debian's package, fetched once and unpacked into the cache.

`python -m infra.lab.pgbouncer_home` fetches it.
"""

import sys
from pathlib import Path

from infra.lab import debian
from infra.lab.process import LabError

# Other releases call its libraries otherwise (libevent-2.1-7t64).
PGBOUNCER = debian.Package("pgbouncer", "PgBouncer", "usr/sbin", r"lib(?:event|c-?ares)\S*")
_run = debian.runner(PGBOUNCER)


def find_pgbouncer() -> Path:
    """The program's directory. Raises LabError, in one sentence with the way out, when there is none to be had."""
    return debian.find(PGBOUNCER, _run)


def library_path(programs: Path) -> str:
    """Where the libraries lie that were unpacked beside the program; empty where the machine has its own."""
    return debian.library_path(programs)


def main() -> int:
    """Fetch it where need be; the exit code is 1 when it cannot be had."""
    try:
        sys.stdout.write(f"{find_pgbouncer()}\n")
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
