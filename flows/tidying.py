"""What a flow does at its end, however that came."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def afterwards(act: Callable[[], str]) -> Iterator[None]:
    """Do it at the end, whatever comes of what is inside; a run that was killed does it when it goes on."""
    try:
        yield
    finally:
        act()
