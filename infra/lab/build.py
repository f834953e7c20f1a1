"""Build the lab's servers from their Go modules, once per change of their sources.

`python -m infra.lab.build` builds them all. What is built lies in ~/.cache/ripcord (RIPCORD_CACHE
overrides), in a directory named by a hash of everything that went into it.
"""

import hashlib
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infra.lab.cache import cache, hold, lock, making, prune
from infra.lab.compiler import environment, find_go, tell_version
from infra.lab.modules import MODULES, Module
from infra.lab.process import LabError, Process, run

REPORT_EVERY_SECONDS = 15.0
# Unoptimised and without debug information: half the time to build, and fast enough for a lab.
FLAGS = ("-v", "-mod=readonly", "-buildvcs=false", "-p=2", "-gcflags=all=-N -l -dwarf=false")


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
    try:
        go, home = find_go(), cache()
        built = home / f"{module.name}-{_key(module, go)}"
        if not hold(built):
            busy = f"{module.name} is being built by another process: waiting for it"
            with lock(home / f"{module.name}.lock", lambda: _say(busy)):
                if not hold(built):
                    _build(module, go, built)
                    hold(built)
                    prune(home, module.name)
    except OSError as error:
        raise LabError(f"{module.name} could not be built: {error}") from error
    return built


def _key(module: Module, go: str) -> str:
    """What went into the build: sources, flags, and the compiler."""
    digest = hashlib.sha256(tell_version(go))
    for part in (*FLAGS, *module.packages, *module.variables, *module.tags):
        digest.update(part.encode() + b"\0")
    for source in sorted([*module.source.glob("*.go"), *module.source.glob("go.*")]):
        content = source.read_bytes()
        digest.update(f"{source.name} {len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _build(module: Module, go: str, built: Path) -> None:
    """Build beside the final place and rename: what bears the final name is complete."""
    place = making(built.parent, module.name)
    shutil.rmtree(place, ignore_errors=True)  # left by a build that was killed
    place.mkdir()
    log = built.parent / f"{module.name}.log"
    log.unlink(missing_ok=True)
    _say(f"{module.name}: building {', '.join(module.programs)}, once; this takes {module.expected}")
    started = time.monotonic()
    linker = " ".join(["-s -w", *(f"-X {variable}" for variable in module.variables)])
    flags = [*FLAGS, f"-tags={','.join(module.tags)}", f"-ldflags={linker}"]
    argv = [go, "build", *flags, "-o", f"{place}/", *module.packages]
    with run(module.name, argv, directory=built.parent, cwd=module.source, env=environment()) as process:
        _report(module.name, process, started)
    if not all((place / program).is_file() for program in module.programs):
        shutil.rmtree(place, ignore_errors=True)
        raise LabError(f"{module.name} could not be built: {_complaint(log)}; the log is {log}")
    place.rename(built)
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
