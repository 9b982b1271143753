"""What is shipped is what stands on disk."""

import ast
import tomllib
from pathlib import Path

import pytest

import seedbed

ROOT = Path(__file__).parents[1]
SOURCE = Path(seedbed.__file__).parent


def test_listed_packages_are_the_folders_on_disk():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {".".join(("seedbed", *path.parent.relative_to(SOURCE).parts)) for path in SOURCE.rglob("__init__.py")}
    assert sorted(listed) == sorted(folders)


def test_the_version_is_a_literal():
    """setuptools reads it statically only then; an import would trip the guard on the package's name."""
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    values = [node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"]
    assert len(values) == 1
    assert isinstance(values[0], ast.Constant)
    assert values[0].value == seedbed.__version__


def test_types_are_shipped():
    assert (SOURCE / "py.typed").exists()


@pytest.mark.parametrize("name", ["pickle", "eval(", "exec(", "marshal", "shelve", "np.load(", "yaml.load"])
def test_nothing_executes_what_it_reads(name):
    for path in SOURCE.rglob("*.py"):
        assert name not in path.read_text(), path


def test_every_public_name_is_there_and_documented():
    import importlib

    for module in (
        "seedbed.bandits",
        "seedbed.bandits.attribution",
        "seedbed.bandits.evaluation",
        "seedbed.constraints",
        "seedbed.allocators",
        "seedbed.allocators.cold_start",
        "seedbed.storage",
    ):
        loaded = importlib.import_module(module)
        assert loaded.__doc__
        for name in loaded.__all__:
            value = getattr(loaded, name)
            assert name == "AnyPolicy" or value.__doc__, f"{module}.{name}"
