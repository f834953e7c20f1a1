"""Build the lab's servers from their Go modules, once per change of their sources.

`python -m infra.lab.build` builds them all. What is built lies in ~/.cache/ripcord (RIPCORD_CACHE
overrides), in a directory named by a hash of everything that went into it.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.lab.process import LabError, Process, run

INFRA = Path(__file__).resolve().parents[1]
REPORT_EVERY_SECONDS = 15.0
# Unoptimised and without debug information: half the time to build, and fast enough for a lab.
FLAGS = ("-v", "-mod=readonly", "-buildvcs=false", "-p=2", "-gcflags=all=-N -l -dwarf=false")
KUBERNETES_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Module:
    """A Go module of ours and the programs that are built from it."""

    name: str
    source: Path
    packages: tuple[str, ...]
    """Import paths of the main packages; a program is called as the last part of its path."""
    variables: tuple[str, ...] = ()
    """`package.name=value` for the linker, such as the version a program tells."""
    tags: tuple[str, ...] = ()
    """Build tags that leave out what the lab does not use."""
    expected: str = "a few minutes"
    """How long a first build takes on two cores, said to the person who waits."""

    @property
    def programs(self) -> tuple[str, ...]:
        """The names of the files that the build leaves."""
        return tuple(package.rsplit("/", 1)[-1] for package in self.packages)


MODULES = {
    module.name: module
    for module in (
        Module(
            "kubebox",
            INFRA / "kubebox",
            packages=("ripcord.local/kubebox",),
            # Without these a client reads 0.0.0 as the server's version, and chooses its ways by it.
            variables=(
                f"{KUBERNETES_VERSION}.gitVersion=v1.37.2",
                f"{KUBERNETES_VERSION}.gitMajor=1",
                f"{KUBERNETES_VERSION}.gitMinor=37",
            ),
            expected="5 minutes (10 on a busy machine) and 3 GB of disk",
        ),
        Module(
            "observability",
            INFRA / "observability",
            packages=(
                "github.com/prometheus/prometheus/cmd/prometheus",
                "github.com/prometheus/prometheus/cmd/promtool",
                "github.com/prometheus/alertmanager/cmd/alertmanager",
                "github.com/prometheus/alertmanager/cmd/amtool",
            ),
            # Every target of the lab has a fixed address: no service discovery, two thirds of the packages.
            tags=("remove_all_sd",),
            expected="about 3 minutes and 1.5 GB of disk",
        ),
    )
}


def kubebox() -> Path:
    """The program that is etcd, the API server, the controllers and kwok, built when need be.

    Raises LabError when it cannot be built.
    """
    return go_build(MODULES["kubebox"]) / "kubebox"


def observability() -> Path:
    """The directory of prometheus, promtool, alertmanager and amtool, built when need be.

    Raises LabError when they cannot be built.
    """
    return go_build(MODULES["observability"])


def go_build(module: Module) -> Path:
    """The directory with the programs of a module; whoever comes second waits for the first one's build.

    Raises LabError in one sentence when Go is missing, the disk is full or the build fails; the log stays.
    """
    go = _go()
    try:
        home = cache()
        built = home / f"{module.name}-{_key(module, go)}"
        if not built.is_dir():
            with _lock(home / f"{module.name}.lock", module.name):
                if not built.is_dir():
                    _build(module, go, built)
    except OSError as error:
        raise LabError(f"{module.name} could not be built: {error}") from error
    return built


def cache() -> Path:
    """The directory of everything that is built once; made when it is not there.

    Raises LabError when no place can be written to.
    """
    wanted = os.environ.get("RIPCORD_CACHE")
    places = [Path(wanted)] if wanted else [_home_cache(), _private_temporary()]
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK | os.X_OK) and (wanted or place.stat().st_uid == os.geteuid()):
            return place.resolve()
    raise LabError(f"no place to keep what is built: {places[0]} cannot be written; set RIPCORD_CACHE")


def _home_cache() -> Path:
    return Path(os.environ.get("HOME") or "/nonexistent") / ".cache" / "ripcord"


def _private_temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"ripcord-{os.geteuid()}"


def _go() -> str:
    found = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if not found:
        raise LabError("the lab builds its servers with Go 1.26 or newer, and found no `go`: see go.dev/dl")
    return found


def _environment() -> dict[str, str]:
    """Go's own caches where they usually are; in ours when there is no home to write to."""
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOGC": "400", "GOWORK": "off"}
    home = env.get("HOME")
    if not home or not os.access(home, os.W_OK):
        env.setdefault("GOPATH", str(cache() / "go"))
        env.setdefault("GOCACHE", str(cache() / "go-build"))
    return env


def _key(module: Module, go: str) -> str:
    """What went into the build: sources, flags, and the compiler."""
    version = subprocess.run([go, "version"], capture_output=True, env=_environment(), check=False).stdout
    digest = hashlib.sha256(version)
    for part in (*FLAGS, *module.packages, *module.variables, *module.tags):
        digest.update(part.encode() + b"\0")
    for source in sorted([*module.source.glob("*.go"), *module.source.glob("go.*")]):
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


@contextmanager
def _lock(path: Path, name: str) -> Iterator[None]:
    """Hold the file's lock; the kernel frees it when its holder dies, by whatever means."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"{name} is being built by another process: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(module: Module, go: str, built: Path) -> None:
    """Build beside the final place and rename: what bears the final name is complete."""
    making = built.parent / f"{module.name}.making"
    shutil.rmtree(making, ignore_errors=True)  # left by a build that was killed
    making.mkdir()
    log = built.parent / f"{module.name}.log"
    log.unlink(missing_ok=True)
    _say(f"{module.name}: building {', '.join(module.programs)}, once; this takes {module.expected}")
    started = time.monotonic()
    linker = " ".join(["-s -w", *(f"-X {variable}" for variable in module.variables)])
    flags = [*FLAGS, f"-tags={','.join(module.tags)}", f"-ldflags={linker}"]
    argv = [go, "build", *flags, "-o", f"{making}/", *module.packages]
    with run(module.name, argv, directory=built.parent, cwd=module.source, env=_environment()) as process:
        _report(module.name, process, started)
    if not all((making / program).is_file() for program in module.programs):
        shutil.rmtree(making, ignore_errors=True)
        raise LabError(f"{module.name} could not be built: {_complaint(log)}; the log is {log}")
    making.rename(built)
    _say(f"{module.name}: built in {time.monotonic() - started:.0f} s: {built}")


def _report(name: str, process: Process, started: float) -> None:
    """Say now and then how far it is, until the build has ended."""
    due = started + REPORT_EVERY_SECONDS
    while process.running():
        time.sleep(0.2)
        if time.monotonic() > due:
            due += REPORT_EVERY_SECONDS
            lines = process.log.read_text(errors="replace").splitlines()
            got = sum(line.startswith("go: downloading") for line in lines)
            seconds = time.monotonic() - started
            _say(f"{name}: {seconds:3.0f} s, {got} modules fetched, {len(lines) - got} packages compiled")


def _complaint(log: Path) -> str:
    """The line of the log that tells why, without the ones that only tell progress."""
    lines: Sequence[str] = log.read_text(errors="replace").strip().splitlines()
    if full := [line for line in lines if "no space left on device" in line]:
        return full[0]
    told = [line for line in lines if " " in line and not line.startswith(("#", "go: downloading"))]
    return told[0] if told else "Go ended without a word (is the disk full?)"


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def main() -> int:
    """Build every module; the exit code is 1 when one cannot be built."""
    try:
        for module in MODULES.values():
            sys.stdout.write(f"{go_build(module)}\n")
    except LabError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
