"""The command `ripcord fix-forward`: the rehearsal in this process; the fix itself in a run that may ask a person."""

from pathlib import Path

from deployments.following import known_server
from flows.fix_forward import fix_forward
from recovery.errors import Refused
from recovery.fix_scripts import LARGEST, read_script
from recovery.fixes import fixed_database
from recovery.incidents import Cause, Source
from recovery.versions import parse_version
from tasks.git import read_pull_script
from tasks.github import read_pull
from tasks.runs import Launched, dated, launch_fix
from tasks.settings import read_service


def read_fix(service: str, file: Path | None, pull: int | None, path: str | None) -> str:
    """The script from a file, or as a pull request of the service's repository brings it.

    Raises Refused where both or neither are named, or what is named is no script.
    """
    if (file is None) == (pull is None):
        raise Refused("name the fix by one of --script FILE and --pull NUMBER")
    if pull is None:
        if file is None or path is not None:
            raise Refused("--path names a file of a pull request: name that by --pull NUMBER")
        return read_file(file)
    entry = read_service(service)
    return read_pull_script.fn(entry, read_pull.fn(entry, pull), path).text


def read_file(path: Path) -> str:
    """The script in a file. Raises Refused when it cannot be read, is too large, or is not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise Refused(f"{path} cannot be read ({error.strerror}): name the file of the fix") from None
    except UnicodeDecodeError:
        raise Refused(f"{path} is not UTF-8: save it as that") from None


def rehearse(service: str, version: str, script: str, because: str) -> str:
    """Try the fix on a clone and show the plan. Changes nothing."""
    with known_server():
        return fix_forward(service, version, script, Cause(sentence=because), rehearse=True)


def start_fix(service: str, version: str, script: str, because: str, number: int = 1) -> Launched:
    """Create the run that rehearses and applies the fix; a repeat of the same script and number finds the first run.

    Raises Refused when the script cannot be run at all: nothing of it is then given to Prefect.
    """
    entry = read_service(service)
    fixed_database(entry)
    tag, digest = parse_version(version, entry.tag_prefix).tag, read_script(script).digest
    with known_server():
        cause = dated.fn(Cause(sentence=because, source=Source.PERSON, seen_at=None))
        return launch_fix.fn(entry.name, tag, cause, script, digest, number)
