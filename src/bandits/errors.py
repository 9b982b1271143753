"""What can go wrong, by a name of its own. All are also the ValueError or KeyError that one would expect."""


class UnknownArmError(KeyError):
    """An id that names no live arm."""

    def __str__(self) -> str:
        """Return the message; KeyError's own would put it in quotes."""
        return str(self.args[0])


class StaleRowsError(ValueError):
    """A row that its arm no longer owns."""


class CheckpointError(ValueError):
    """Bytes that are not a whole, unaltered checkpoint of the kind asked for."""
