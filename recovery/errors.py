"""Three errors, typed by what happened to the world: the person on call asks that first.

Message order: subject, what was seen, what was expected, the way out.
"""


class RecoveryError(Exception):
    """Whatever ripcord says no to."""


class Refused(RecoveryError):
    """Nothing was changed: going on would have been unsafe. The message names the way out."""


class Unavailable(RecoveryError):
    """Nothing was changed: a system did not answer. Safe to try again."""


class Incomplete(RecoveryError):
    """Something was changed and the step did not finish: a person must look.

    `done` says in sentences what was done before it stopped.
    """

    def __init__(self, message: str, done: tuple[str, ...] = ()) -> None:
        super().__init__(message, done)
        self.done = done

    def __str__(self) -> str:
        """The message, followed by what was done."""
        message = str(self.args[0])
        return f"{message} (done before: {'; '.join(self.done)})" if self.done else message
