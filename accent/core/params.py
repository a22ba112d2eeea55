"""Parameters: `params.yaml` as frozen dataclasses. A misspelt or missing name is an error that names it."""

import json
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from accent.core.errors import InputError

T = TypeVar("T")

# Decorates every parameter class: no field can change after loading, and no unknown name is taken.
params = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))

Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def load_params(section: str, cls: type[T], path: Path = Path("params.yaml")) -> T:
    """The section of `params.yaml` with that name, checked against `cls`.

    Raises `InputError` for a missing file or section, and for a name or value that `cls` does not allow.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file in {Path.cwd()}. Run from the project's folder") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or section not in document:
        found = ", ".join(document) if isinstance(document, dict) else "nothing"
        raise InputError(f"{path}: no section {section!r} (found: {found}). Add it")
    return parse_params(document[section], cls, f"{path}: {section}")


def parse_params(values: object, cls: type[T], where: str) -> T:
    """`values` as a `cls`; raises `InputError` that names `where`, the field, and what is allowed there."""
    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        raise InputError("; ".join(_explain(detail, cls, where) for detail in error.errors())) from None


def read_json(path: Path, cls: type[T], source: str = "'dvc repro' or 'dvc pull'") -> T:
    """A JSON file as a `cls`; raises `InputError`, which says how to get it (`source`), if it is missing or broken."""
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. {source} brings it") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}). Remove it, and {source} brings it back") from None
    return parse_params(document, cls, str(path))


def _explain(detail: dict, cls: type, where: str) -> str:
    name = ".".join([where, *map(str, detail["loc"])])
    if detail["type"] == "unexpected_keyword_argument":
        return f"{name}: no such parameter. Known here: {', '.join(_fields_at(cls, detail['loc'][:-1]))}"
    if detail["type"] == "missing":
        return f"{name}: missing. Needed here: {', '.join(_fields_at(cls, detail['loc'][:-1]))}"
    found = "" if detail["type"] == "value_error" else f" (found {detail['input']!r})"
    return f"{name}: {detail['msg'].removeprefix('Value error, ')}{found}"


def _fields_at(cls: type, path: tuple) -> list[str]:
    """Field names of the dataclass found by walking `path` (field names and dictionary keys) from `cls`."""
    for key in path:
        fields = getattr(cls, "__pydantic_fields__", {})
        if key in fields:
            cls = fields[key].annotation
            values = getattr(cls, "__args__", ())
            cls = values[-1] if values else cls  # dict[str, Inner]: the next key is the user's own
    return list(getattr(cls, "__pydantic_fields__", {}))
