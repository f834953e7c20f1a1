"""What every part of the server works with: the store, the repositories, its own address, the courier."""

from dataclasses import dataclass
from pathlib import Path

from infra.lab.github.answers import not_found
from infra.lab.github.bare import Bare
from infra.lab.github.courier import Courier
from infra.lab.github.renames import look_for
from infra.lab.github.store import Document, Store


@dataclass(frozen=True)
class Platform:
    """One GitHub."""

    store: Store
    repositories: Path
    url: str
    """`http://127.0.0.1:port`; every address in an answer begins with it, as PyGithub insists."""
    courier: Courier

    @property
    def api(self) -> str:
        """Where the REST API begins."""
        return f"{self.url}/api/v3"

    def repository(self, full_name: str) -> Document:
        """A repository by `owner/name`; raises the 404 that GitHub answers, or Renamed."""
        found = self.store.first("repository", full_name=full_name)
        if found is None:
            look_for(self.store, full_name)
            raise not_found()
        return found

    def bare(self, full_name: str) -> Bare:
        """Its Git side."""
        return Bare(self.repositories / f"{full_name}.git")
