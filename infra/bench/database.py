"""What a way back for a database costs: ours, and PostgreSQL's own programs, on the same server.

A database of pgbench's with clients behind PgBouncer is gated, and taken back by the parachute and cold. What clients
wait is what they see themselves: the time from a statement to its acknowledgement. `fsync` is on for the database and
for what is restored, by us and by hand: a restored server that a power cut takes away is none.
"""

import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from infra.lab.pgbouncer import PgBouncer as LabPgBouncer
from infra.lab.pgbouncer import pgbouncer
from infra.lab.postgres import Postgres, postgres
from infra.lab.postgres_home import give
from infra.lab.prefect import PrefectServer, prefect_server
from infra.lab.process import free_port, wait_until
from recovery.catalog import Service
from recovery.databases import Database, PgBouncer, Restore, Smoke

ROOT = Path(__file__).parents[2]
NAME, VERSION, APPLICATION = "bench", "v1.2.0", "shopper"
SCALE = 68  # of pgbench: a gibibyte
CLIENTS, TPS_SECONDS, TPS_TURNS = 8, 15, 3
URL, POOLER = "BENCH_DATABASE_URL", "BENCH_PGBOUNCER_URL"
HALF, MOST, ALLOWANCE, KEPT = 0.5, 2.0, 0.5, 0.95  # the limits: p50, p99, cold above the engine's own, TPS left
TO_PROVED, GROWN = 1.0, 2.0  # seconds above a base backup; how much longer clients of a larger database wait
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
# As `infra.bench.way_back` names them.
TO_THE_PROOF, AMCHECK = "from the point to its proof", "look for damage"
# What an engine does to come to a point, without what is looked at before customers are led there.
AS_AN_ENGINE = ("stand", "promote restored")


@dataclass(frozen=True, slots=True)
class Walk:
    """The seconds of a gate or a restore, and of each of its steps."""

    whole: float
    steps: Mapping[str, float]

    @property
    def to_proved(self) -> float:
        """Of a gate without a parachute: from the point to its proof, without amcheck."""
        return self.steps[TO_THE_PROOF] - self.steps.get(AMCHECK, 0.0)

    @property
    def as_an_engine(self) -> float:
        """Of a restore: copy, start, replay and promote."""
        return sum(self.steps[each] for each in AS_AN_ENGINE)


@dataclass(frozen=True, slots=True)
class Cutover:
    """What one restore cost: its own seconds, those of what an engine does, each client's longest wait, and errors."""

    seconds: float
    engine: float
    waits: tuple[float, ...]
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cold:
    """One database without a parachute: the raw tools and ours, one right after the other."""

    backup: float  # by pg_basebackup
    raw: float  # copied, recovered and promoted by hand
    to_proved: float  # the point to its proof
    cutover: Cutover


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that one run of the bench has seen; seconds where nothing else is said."""

    parachute: Sequence[Cutover]
    cold: Sequence[Cold]
    gates: Sequence[float]
    tps: Sequence[float]  # armed, as a part of before, the standby on the same disk and cores
    tps_apart: Sequence[float]  # the same, the standby with a disk and a core of its own
    small: Sequence[Cutover] = ()  # by parachute, of a database of one gibibyte


@dataclass
class Clients:
    """Clients that write one row after the other, and remember the longest time that each of them waited."""

    dsn: str
    waits: list[float] = field(default_factory=lambda: [0.0] * CLIENTS)
    written: list[int] = field(default_factory=lambda: [0] * CLIENTS)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for_more(self) -> None:
        """Until every client has written again, or somebody was told that something went wrong."""
        before = list(self.written)
        wait_until(
            lambda: self.errors or all(now > then for now, then in zip(self.written, before, strict=True)),
            what="clients that write", seconds=60,
        )  # fmt: skip

    def _work(self, number: int) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True, prepare_threshold=None) as connection:
                while not self._over.is_set():
                    began = time.perf_counter()
                    connection.execute("INSERT INTO ledger (who) VALUES (%s)", (f"client {number}",))
                    self.waits[number] = max(self.waits[number], time.perf_counter() - began)
                    self.written[number] += 1
                    time.sleep(0.005)
        except psycopg.Error as error:
            self.errors.append(str(error))


@dataclass(frozen=True)
class Place:
    """A database, its pooler, and everything that ripcord needs to know of them."""

    directory: Path
    server: Postgres
    pooler: LabPgBouncer
    service: Service
    sides: Path
    env: dict[str, str]

    def ours(self, what: str) -> Walk:
        """Walk the gate or the restore in a process of its own; the seconds of its steps, its start aside."""
        argv = [sys.executable, "-m", "infra.bench.way_back", what, VERSION]
        given = self.service.model_dump_json()
        done = subprocess.run(argv, cwd=ROOT, env=self.env, input=given, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            raise RuntimeError(f"{' '.join(argv[1:])} failed: {done.stderr[-2000:]}")
        return Walk(**json.loads(done.stdout.splitlines()[-1]))

    def program(self, name: str, *arguments: str | Path) -> str:
        """Run one of PostgreSQL's programs as the user of the server, and return what it printed."""
        argv = [str(self.server.binaries / name), *map(str, arguments)]
        env = {"PGPASSWORD": self.server.password, "PATH": os.defpath, "LC_ALL": "C"}
        user = {"user": self.server.runs_as, "extra_groups": []} if self.server.runs_as else {}
        done = subprocess.run(argv, cwd=self.directory, env=env, capture_output=True, text=True, timeout=1800, **user)  # type: ignore[call-overload]
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
        return str(done.stdout)

    @property
    def connecting(self) -> tuple[str, ...]:
        """The arguments by which a program finds the server."""
        return "-h", "127.0.0.1", "-p", str(self.server.port), "-U", self.server.user


def main(gib: int, runs: int) -> None:
    """Measure all in one run, print the table, and say what does not hold."""
    console = Console()
    directory = Path(tempfile.mkdtemp(prefix="ripcord-bench-"))
    directory.chmod(0o755)
    try:
        with postgres(directory / "prefect") as database, prefect_server(directory / "prefect", database) as prefect:
            console.print(f"taking a database of {gib} GiB back, {runs} times each, {CLIENTS} clients behind PgBouncer")
            parachute, gates, cold, tps, apart, small = [], [], [], [], [], []
            for number in range(runs):
                with place(directory / f"parachute{number}", prefect, gib, parachute=True) as here:
                    gates.append(here.ours("gate").whole)
                    parachute.append(cut_over(here))
                if gib > 1:
                    with place(directory / f"small{number}", prefect, 1, parachute=True) as here:
                        here.ours("gate")
                        small.append(cut_over(here))
                with place(directory / f"cold{number}", prefect, gib, parachute=False) as here:
                    backup, raw = raw_walk(here)
                    proved = here.ours("gate").to_proved
                    cold.append(Cold(backup, raw, proved, cut_over(here)))
                with place(directory / f"shared{number}", prefect, 1, parachute=True) as here:
                    tps.append(left_of_rate(here, apart=False))
                with place(directory / f"apart{number}", prefect, 1, parachute=True, sides=SHARED_MEMORY) as here:
                    apart.append(left_of_rate(here, apart=True))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    console.print(table(gib, Measured(parachute, cold, gates, tps, apart, small)))


def table(gib: int, seen: Measured) -> Table:
    """Every figure with its limit, and whether that holds; what has no p99 is held to it by the middle run."""
    shown = Table("what", "runs", "min", "median", "max", "limit", "holds", title=f"taking {gib} GiB of data back")
    waits, cutovers = _waits(seen.parachute), [each.cutover for each in seen.cold]
    shown.add_row("by parachute: each client's longest wait; s", *_figures(waits), *_held_waits(waits))
    if seen.small:
        middle = statistics.median(_waits(seen.small))
        times = [statistics.median(each.waits) / middle for each in seen.parachute]
        shown.add_row("the same, times that of 1 GiB", *_figures(times), f"at most {GROWN:g}", _most(times, GROWN))
    shown.add_row("by parachute: the whole restore; s", *_figures([each.seconds for each in seen.parachute]), "-", "")
    shown.add_row("cold: each client's longest wait; s", *_figures(_waits(cutovers)), "-", "")
    errors = sum(len(each.errors) for each in (*seen.parachute, *cutovers, *seen.small))
    shown.add_row("clients that were told of an error", "", "", str(errors), "", "0", _word(errors == 0))
    shown.add_row("raw: copy the backup, recover, promote; s", *_figures([each.raw for each in seen.cold]), "-", "")
    shown.add_row("cold: the same; s", *_figures([each.engine for each in cutovers]), "-", "")
    above = [each.cutover.engine - each.raw for each in seen.cold]
    shown.add_row("cold above raw; s", *_figures(above), f"at most {ALLOWANCE:g}", _most(above, ALLOWANCE))
    shown.add_row("cold: the whole restore; s", *_figures([each.seconds for each in cutovers]), "-", "")
    shown.add_row("raw: pg_basebackup; s", *_figures([each.backup for each in seen.cold]), "-", "")
    proved = [each.to_proved for each in seen.cold]
    shown.add_row("the point to its proof, no amcheck; s", *_figures(proved), "-", "")
    above = [each.to_proved - each.backup for each in seen.cold]
    shown.add_row("proof above raw; s", *_figures(above), f"at most {TO_PROVED:g}", _most(above, TO_PROVED))
    shown.add_row("the gate, with amcheck and the parachute; s", *_figures(seen.gates), "-", "")
    shown.add_row("TPS armed, of those before, on shared cores", *_figures(seen.tps), "-", "")
    holds = _word(statistics.median(seen.tps_apart) >= KEPT)
    shown.add_row("the same, with its own disk and core", *_figures(seen.tps_apart), f"at least {KEPT:g}", holds)
    return shown


def _waits(cutovers: Sequence[Cutover]) -> list[float]:
    return [wait for each in cutovers for wait in each.waits]


def _most(values: Sequence[float], limit: float) -> str:
    return _word(statistics.median(values) <= limit)


def _held_waits(waits: Sequence[float]) -> tuple[str, str]:
    ordered = sorted(waits)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    holds = statistics.median(waits) <= HALF and p99 <= MOST
    return f"p50 at most {HALF:g}, p99 {MOST:g}", _word(holds)


def _figures(values: Sequence[float]) -> tuple[str, str, str, str]:
    least, middle, most = (f"{each:.2f}" for each in (min(values), statistics.median(values), max(values)))
    return str(len(values)), least, middle, most


def _word(holds: bool) -> str:
    return "yes" if holds else "NO"


@contextmanager
def place(
    directory: Path, prefect: PrefectServer, gib: int, *, parachute: bool, sides: Path | None = None
) -> Iterator[Place]:
    """A fresh database of so many gibibytes with its clients' way, and room for its sets and restored servers.

    With `sides` the restored servers are there, else in the machine's temporary directory.
    """
    with ExitStack() as stack:
        server = stack.enter_context(postgres(directory, settings={"fsync": "on"}, archiving=True))
        server.create_database(NAME)
        backups = Path(tempfile.mkdtemp(prefix="ripcord-sets-"))
        sides = Path(tempfile.mkdtemp(prefix="ripcord-sides-", dir=sides))
        for each in (backups, sides):
            give(each, server.runs_as)
            stack.callback(shutil.rmtree, each, ignore_errors=True)
        password = secrets.token_urlsafe(12)
        line = f"{NAME} = host=127.0.0.1 port={server.port} dbname={NAME} pool_size={CLIENTS}"
        users = {server.user: server.password, APPLICATION: password}
        pooler = stack.enter_context(pgbouncer(directory / "pooler", line, users))
        with psycopg.connect(server.dsn(NAME), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{password}'".encode())
            connection.execute("CREATE TABLE ledger (id bigserial PRIMARY KEY, who text NOT NULL)")
            connection.execute(f"GRANT ALL ON ledger, ledger_id_seq TO {APPLICATION}".encode())
        way = PgBouncer(admin_variable=POOLER, databases_file=str(pooler.databases_file), alias=NAME)
        database = Database(
            url_variable=URL, backups=str(backups), archive=str(server.archive), uncounted=("public.ledger",),
            smoke=(Smoke(sql="SELECT count(*) FROM pgbench_branches", equals=str(SCALE * gib)),),
            restore=Restore(sides=str(sides), port=free_port(), pgbouncer=way, parachute=parachute, approval="none"),
        )  # fmt: skip
        service = Service(name=NAME, namespace=NAME, repository=f"acme/{NAME}", database=database)
        env = os.environ | prefect.environment | {
            URL: server.dsn(NAME), POOLER: pooler.admin_dsn(),
            "RIPCORD_POSTGRES_BIN": str(server.binaries), "RIPCORD_POSTGRES_USER": server.runs_as or "",
            "PREFECT_LOGGING_LEVEL": "ERROR",
        }  # fmt: skip
        here = Place(directory, server, pooler, service, sides, env)
        here.program("pgbench", *here.connecting, "-i", "-q", "-s", str(SCALE * gib), NAME)
        stack.callback(end_sides, sides)
        yield here


def end_sides(sides: Path) -> None:
    """Stop the restored servers, which outlive whoever raised them."""
    for lock in sides.glob("*/data/postmaster.pid"):
        pid = int(lock.read_text().split()[0])
        os.kill(pid, 3)  # SIGQUIT: at once
        wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), what="the end of a side", seconds=30)  # type: ignore[misc]


def cut_over(here: Place) -> Cutover:
    """Take the database back while clients write."""
    with Clients(here.pooler.dsn(NAME, APPLICATION)) as clients:
        walk = here.ours("restore")
        clients.wait_for_more()
    return Cutover(walk.whole, walk.as_an_engine, tuple(clients.waits), tuple(clients.errors))


def left_of_rate(here: Place, *, apart: bool) -> float:
    """What is left of the transactions in a second when the parachute is armed.

    With `apart` the server and pgbench have one core for themselves, and the parachute the others.
    """
    every = os.sched_getaffinity(0)
    mine, others = ({min(every)}, every - {min(every)} or every) if apart else (every, every)
    os.sched_setaffinity(0, mine)  # of pgbench, too
    try:
        for pid in _processes(here.server.data):
            os.sched_setaffinity(pid, mine)
        before = rate(here)
        here.ours("gate")
        for data in here.sides.glob("*/data"):
            for pid in _processes(data):
                os.sched_setaffinity(pid, others)
        return rate(here) / before
    finally:
        os.sched_setaffinity(0, every)


def _processes(data: Path) -> list[int]:
    """A server's postmaster and its children."""
    postmaster = (data / "postmaster.pid").read_text().split()[0]
    children = [path for path in Path("/proc").glob("[0-9]*/stat") if _parent(path) == postmaster]
    return [int(postmaster), *(int(path.parent.name) for path in children)]


def _parent(stat: Path) -> str:
    with suppress(OSError):  # it has ended
        return stat.read_text().rpartition(")")[2].split()[1]
    return ""


def rate(here: Place) -> float:
    """Transactions in a second, as pgbench counts them, on the server itself, each time right after a checkpoint."""
    counted = []
    for _ in range(TPS_TURNS):
        with psycopg.connect(here.server.dsn(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        told = here.program("pgbench", *here.connecting, "-c", "4", "-T", str(TPS_SECONDS), "-n", NAME)
        [line] = [line for line in told.splitlines() if line.startswith("tps = ")]
        counted.append(float(line.split()[2]))
    return statistics.median(counted)


def raw_walk(here: Place) -> tuple[float, float]:
    """What people do by the manual (PostgreSQL, "Recovering Using a Continuous Archive Backup").

    The seconds of `pg_basebackup` before a deployment; and in a catastrophe from the copy's first byte to a server that
    takes writes.
    """
    backup = here.server.data.parent / "raw-backup"
    taking = _timed(lambda: here.program("pg_basebackup", *here.connecting, "-c", "fast", "-X", "none", "-D", backup))
    with psycopg.connect(here.server.dsn(NAME), autocommit=True) as connection:
        connection.execute("SELECT pg_create_restore_point('raw')")
        row = connection.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
    segment = str(row[0]) if row else ""
    wait_until((here.server.archive / segment).exists, what=f"the archiving of {segment}", seconds=60)
    side, port = here.server.data.parent / "raw-side", free_port()
    settings = (
        f"restore_command = 'cp {here.server.archive}/%f %p'\nrecovery_target_name = 'raw'\n"
        f"recovery_target_action = 'promote'\nport = {port}\narchive_mode = off\nunix_socket_directories = ''\n"
        "listen_addresses = '127.0.0.1'\n"
        # The lab gives these on the command line of its servers, so no backup has them.
        "fsync = on\nmax_connections = 200\nshared_buffers = '64MB'\ndynamic_shared_memory_type = mmap\n"
    )

    def act() -> None:
        user = {"user": here.server.runs_as, "extra_groups": []} if here.server.runs_as else {}
        subprocess.run(["cp", "-a", backup, side], check=True, cwd="/", **user)  # type: ignore[call-overload]
        with (side / "postgresql.auto.conf").open("a") as file:
            file.write(settings)
        (side / "recovery.signal").touch()
        give(side / "recovery.signal", here.server.runs_as)
        log = side / "server.log"
        here.program("pg_ctl", "-D", side, "-l", log, "-w", "-t", "600", "start")
        dsn = here.server.dsn(NAME).replace(f":{here.server.port}/", f":{port}/")
        with psycopg.connect(dsn, autocommit=True) as connection:
            wait_until(
                lambda: connection.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,),
                what="the end of recovery", seconds=60,
            )  # fmt: skip

    seconds = _timed(act)
    here.program("pg_ctl", "-D", side, "-m", "immediate", "stop")
    for each in (side, backup):
        shutil.rmtree(each)
    return taking, seconds


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
