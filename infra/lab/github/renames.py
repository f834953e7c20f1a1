"""Repositories that have another name by now: GitHub sends who asks for the old one to the new one."""

from infra.lab.github.store import Document, Store


class Renamed(Exception):
    """The repository is called otherwise now."""

    def __init__(self, repository: Document) -> None:
        """Keep what it is called, and the number that never changes."""
        super().__init__(repository["full_name"])
        self.full_name = str(repository["full_name"])
        self.id = int(repository["id"])


def look_for(store: Store, full_name: str) -> None:
    """Raise Renamed for a name that a repository has had."""
    old = store.first("old_name", full_name=full_name)
    if old is not None:
        known = next(each for each in store.all("repository") if each["id"] == old["of"])
        raise Renamed(known)
