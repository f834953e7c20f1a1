"""What a customer can get wrong."""


class Unacceptable(Exception):
    """The request cannot be taken as it is; the customer is told why."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the HTTP status beside the reason."""
        super().__init__(reason)
        self.status = status
