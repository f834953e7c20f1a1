"""Servers are built once, by whoever comes first, and kept while they are of use; a failure is a sentence."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.lab.build import go_build
from infra.lab.modules import Module
from infra.lab.process import LabError

ROOT = Path(__file__).resolve().parents[2]
GREETER = 'package main\n\nimport "os"\n\nvar word = "hello"\n\nfunc main() { os.Stdout.WriteString(word) }\n'
CHILD = """
import sys
from pathlib import Path
from infra.lab.build import go_build
from infra.lab.modules import Module
print(go_build(Module("greeter", Path(sys.argv[1]), ("example.test/greeter",))), flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="module")
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.setenv("RIPCORD_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "go.mod").write_text("module example.test/greeter\n\ngo 1.26\n")
    (source / "main.go").write_text(GREETER)
    return Module("greeter", source, ("example.test/greeter",), variables=("main.word=good-evening",))


def test_a_module_becomes_programs(module: Module) -> None:
    """The directory holds a program that runs and tells the version it was given."""
    built = go_build(module)

    told = subprocess.run([built / "greeter"], capture_output=True, text=True, check=True).stdout
    assert told == "good-evening"


def test_what_is_built_is_not_built_again(module: Module, capsys: pytest.CaptureFixture[str]) -> None:
    """The second call answers the same directory and says nothing; a changed source is another directory."""
    first = go_build(module)
    capsys.readouterr()

    again = go_build(module)
    silent = capsys.readouterr().err
    (module.source / "main.go").write_text(GREETER + "// changed\n")

    assert (again, silent) == (first, "")
    assert go_build(module) != first


def test_two_who_come_at_once_build_once(module: Module) -> None:
    """Of two processes one builds and the other waits for it; both get the same directory."""
    argv = [sys.executable, "-c", CHILD, str(module.source)]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    answers, told = zip(*(each.communicate(timeout=120) for each in both), strict=True)

    assert len(set(answers)) == 1
    assert Path(answers[0].strip(), "greeter").is_file()
    assert "".join(told).count("greeter: built in") == 1


def test_the_newest_two_are_kept_and_what_is_in_use(module: Module) -> None:
    """A build prunes those of its name that were used before the last two, but none whose user lives."""

    def old(number: int, name: str = "greeter") -> Path:
        path = module.source.parent / "cache" / f"{name}-{number:016x}"
        path.mkdir()
        (path / "program").write_text("")
        os.utime(path, (number, number))
        return path

    argv = [sys.executable, "-c", CHILD, str(module.source)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        used = Path(user.stdout.readline().strip())
        os.utime(used, (1, 1))
        unused, recent, other = old(2), old(3), old(1, "greeter-of-others")

        second = go_build(replace(module, tags=("second",)))
        during = {path for path in (used, unused, recent, other, second) if path.is_dir()}

    third = go_build(replace(module, tags=("third",)))

    assert during == {used, recent, other, second}
    assert {path for path in (used, unused, recent, other, second, third) if path.is_dir()} == {other, second, third}
    assert not (third.parent / "greeter.making").exists()


def test_a_failed_build_is_one_sentence(module: Module, tmp_path: Path) -> None:
    """The error names the compiler's reason and the log, and what is half made is gone."""
    (module.source / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")

    with pytest.raises(LabError) as caught:
        go_build(module)

    sentence, log = str(caught.value), tmp_path / "cache" / "greeter.log"
    assert sentence.startswith("greeter could not be built: ")
    assert "undefined: nonsense" in sentence
    assert sentence.endswith(str(log))
    assert "undefined: nonsense" in log.read_text()
    assert {path.name for path in log.parent.glob("greeter*")} == {"greeter.lock", "greeter.log"}


def test_a_cache_that_cannot_be_made_is_one_sentence(
    module: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache below a plain file is refused with the way out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RIPCORD_CACHE", str(tmp_path / "file" / "cache"))

    with pytest.raises(LabError, match="cannot be written; set RIPCORD_CACHE"):
        go_build(module)
