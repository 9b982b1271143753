"""What can go wrong, by a name of its own. All are also the ValueError or KeyError that one would expect."""


class UnknownArmError(KeyError):
    """An id that names no live arm."""

    def __str__(self) -> str:
        """Return the message; KeyError's own would put it in quotes."""
        return str(self.args[0])


class StaleRowsError(ValueError):
    """A row that its arm no longer owns."""


class MergeError(ValueError):
    """Bandits that cannot be merged: of two configurations, of one name, or whose evidence does not add up."""


class CheckpointError(ValueError):
    """Bytes that are not a whole, unaltered checkpoint of the kind asked for."""
