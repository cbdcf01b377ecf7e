"""Finds experiments and reads what the command line needs of them, without jax.

An experiment is a module or package of the experiments folder that binds five names:
CLAIMS, Config, QUICK, run and plot. Its docstring, Config, QUICK, DATA and STREAMS are
read from the source with `ast`. Only `Config` is executed, alone with the module's
literal constants and `listed`, so that its defaults and the ranges in its
`__post_init__` are known before anything slow is imported.
"""

import ast
import dataclasses
import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.harness.listed import listed

Scalar = int | float | str | bool

FOLDER = Path(__file__).resolve().parents[1]
NAMES = frozenset({"CLAIMS", "Config", "QUICK", "run", "plot"})
TYPES: dict[str, type] = {"int": int, "float": float, "str": str, "bool": bool}
DATA = ("digits", "mnist")


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of an experiment's Config, and so one flag."""

    name: str
    type: type
    default: Scalar
    help: str


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What the source of an experiment says about it.

    Attributes:
      name: the module's name.
      path: its file.
      doc: its docstring.
      fields: the fields of Config in their order.
      quick: what --quick replaces.
      data: the names that --data may take; empty if the experiment needs no data set.
      streams: whether it can take its training images from a stream, STREAMS.
      config: the class Config.
    """

    name: str
    path: Path
    doc: str
    fields: tuple[Field, ...]
    quick: dict[str, Scalar]
    data: tuple[str, ...]
    config: type
    streams: bool = False

    @property
    def summary(self) -> str:
        return self.doc.strip().partition("\n")[0]


def names(folder: Path) -> tuple[str, ...]:
    """The experiments of a folder, in alphabetical order."""
    found = [file.stem for file in folder.glob("*.py")]
    found += [file.parent.name for file in folder.glob("*/__init__.py")]
    return tuple(
        name for name in sorted(found) if bound(_parse(_source(folder, name))) >= NAMES
    )


def bound(tree: ast.Module) -> set[str]:
    """The names that a module binds at its top level."""
    found: set[str] = set()
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {each.id for each in targets if isinstance(each, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.ImportFrom(names=aliases):
                found |= {alias.asname or alias.name for alias in aliases}
    return found


def read(folder: Path, name: str) -> Experiment:
    """Reads one experiment of a folder.

    Raises:
      ValueError: if the module breaks the contract of an experiment; the message
        is for its author.
    """
    path = _source(folder, name)
    tree = _parse(path)
    constants = _constants(tree)
    node = next(
        (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Config"),
        None,
    )
    if node is None or not isinstance(constants.get("QUICK"), dict):
        raise ValueError(f"{path}: Config must be a class here and QUICK a literal")
    config = _execute(node, constants, path)
    return Experiment(
        name=name,
        path=path,
        doc=ast.get_docstring(tree) or name,
        fields=_fields(config, _comments(node, path), path),
        quick=constants["QUICK"],
        data=tuple(constants.get("DATA", DATA)),
        config=config,
        streams=bool(constants.get("STREAMS", False)),
    )


def load(experiment: Experiment) -> ModuleType:
    """Imports the module itself, with jax and all that it needs."""
    name = f"experiments.{experiment.name}"
    spec = importlib.util.spec_from_file_location(name, experiment.path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{experiment.path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _source(folder: Path, name: str) -> Path:
    package = folder / name / "__init__.py"
    return package if package.exists() else folder / f"{name}.py"


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Module-level names bound to literals."""
    found: dict[str, Any] = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        try:
            found[name] = ast.literal_eval(value)
        except ValueError:
            continue
    return found


def _execute(node: ast.ClassDef, constants: dict[str, Any], path: Path) -> type:
    namespace: dict[str, Any] = {
        **constants,
        "__name__": __name__,
        "dataclasses": dataclasses,
        "dataclass": dataclasses.dataclass,
        "listed": listed,
    }
    exec(compile(ast.Module([node], []), str(path), "exec"), namespace)
    return namespace["Config"]


def _fields(config: type, comments: dict[str, str], path: Path) -> tuple[Field, ...]:
    fields = []
    for field in dataclasses.fields(config):
        kind = TYPES.get(getattr(field.type, "__name__", str(field.type)))
        if kind is None or field.default is dataclasses.MISSING:
            raise ValueError(
                f"{path}: expected Config.{field.name} to be one of "
                f"{', '.join(TYPES)} with a default, got {field.type}"
            )
        help_text = comments.get(field.name, "")
        fields.append(Field(field.name, kind, field.default, help_text))
    return tuple(fields)


def _comments(node: ast.ClassDef, path: Path) -> dict[str, str]:
    """What is said about each field: behind it, else in the lines right above it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = {}
    for each in node.body:
        match each:
            case ast.AnnAssign(target=ast.Name(id=name), end_lineno=int() as last):
                behind = lines[last - 1].encode()[each.end_col_offset :].decode()
                above = itertools.takewhile(
                    lambda line: line.startswith("#"),
                    (line.strip() for line in reversed(lines[: each.lineno - 1])),
                )
                said = [behind] if behind.strip() else list(above)[::-1]
                found[name] = " ".join(line.strip().lstrip("# ") for line in said)
    return found
