"""A researcher's own policy, from a file that the user names."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..allocators.market import MarketConfig, Report, View
from ..allocators.market.lineup import Fitted


@dataclass(frozen=True, slots=True)
class FromFile:
    """Makes the policy FILE.py:NAME anew for each play, in whatever process plays it.

    NAME is a function from view to exposures, or a class with `allocate` (and `learn`), of which one is made a play.
    The file runs once a play, so that nothing of one play is left for the next.
    """

    path: str
    name: str

    def __call__(self, config: MarketConfig, fitted: Fitted, seed: int) -> Any:
        """Run the file and make the policy."""
        found = self.load()
        return _Hosted(found() if isinstance(found, type) else found, f"{self.path}:{self.name}")

    def load(self) -> Any:
        """Run the file and find the name in it.

        Raises
        ------
        ValueError
            For a file that cannot be run, or without such a function or class.
        """
        spec = importlib.util.spec_from_file_location(f"seedbed_policy_{Path(self.path).stem}", self.path)
        if spec is None or spec.loader is None or not Path(self.path).is_file():
            raise ValueError(f"--policy {self.path}:{self.name}: there is no file {self.path}")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise RuntimeError(f"--policy {self.path}:{self.name}: the file fails: {error!r}") from error
        found = getattr(module, self.name, None)
        if not callable(found):
            raise ValueError(f"--policy {self.path}:{self.name}: the file has no function or class {self.name!r}")
        return found


class _Hosted:
    """A policy that says where it failed, with its traceback."""

    def __init__(self, policy: Any, where: str) -> None:
        self._policy, self._where = policy, where

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._policy, name)

    def allocate(self, view: View) -> Any:
        try:
            return getattr(self._policy, "allocate", self._policy)(view)
        except Exception as error:
            raise RuntimeError(f"{self._where} failed in minute {view.now / 60.0:g}: {error!r}") from error

    def learn(self, report: Report) -> None:
        if not hasattr(self._policy, "learn"):
            return
        try:
            self._policy.learn(report)
        except Exception as error:
            raise RuntimeError(f"{self._where} failed to learn at {report.now:g} s: {error!r}") from error


def parsed(text: str) -> FromFile | None:
    """FILE.py:NAME, or None for a name of the line-up."""
    path, separator, name = text.rpartition(":")
    return FromFile(path, name) if separator and path.endswith(".py") else None
