"""The command `ripcord salvage`: the export in this process; taking rows back in a run that asks a person."""

from deployments.following import known_server
from flows.salvage import salvage
from recovery.salvages import judge_salvageable
from recovery.versions import parse_version
from tasks.runs import Launched, launch_salvage
from tasks.settings import read_service


def run_export(service: str, version: str) -> str:
    """Compare and export in this process, take nothing back; says how much there is and where it lies."""
    with known_server():
        return salvage(service, version, rehearse=True)


def start_salvage(service: str, version: str, number: int = 1) -> Launched:
    """Create the run that exports, asks a person and takes rows back; a repeat of a number finds the first run."""
    entry = read_service(service)
    judge_salvageable(entry)
    with known_server():
        return launch_salvage.fn(entry.name, parse_version(version, entry.tag_prefix).tag, number)
