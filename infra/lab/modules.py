"""The Go modules of ours that become the lab's servers."""

from dataclasses import dataclass
from pathlib import Path

INFRA = Path(__file__).resolve().parents[1]
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
