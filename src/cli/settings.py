"""NAME=VALUE on the command line: numbers of a configuration, checked, with errors that name the option."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError


def pairs_of(texts: Sequence[str], option: str, names: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE, each value as JSON or else as text; later ones replace earlier ones."""
    pairs: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise ValueError(f"{option} {text!r} is not NAME=VALUE")
        if name not in names:
            raise ValueError(f"{option} {name}: no such number; there are {', '.join(names)}")
        try:
            pairs[name] = json.loads(value)
        except json.JSONDecodeError:
            pairs[name] = value
    return pairs


@contextmanager
def reported(option: str) -> Iterator[None]:
    """Name the option and the first number of a configuration that was refused."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the numbers together"
        raise ValueError(f"{option}: {where}: {first['msg']}") from None
