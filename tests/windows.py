"""Windows and holdouts as the configuration gives them: what is not named has the schema's defaults."""

from typing import Any

from model_ci.config import Csv, Holdout, Sample, Window
from model_ci.schema import fill_defaults, load_schema
from model_ci.terms import HoldoutKind


def window(**keys: Any) -> Window:
    schema = load_schema("config")
    filled = fill_defaults(keys, schema["properties"]["data"]["properties"]["window"], schema)
    return Window(**filled | {"sample": Sample(**filled["sample"])})


def held_out(**keys: Any) -> Holdout:
    schema = load_schema("config")
    filled = fill_defaults(keys, schema["properties"]["data"]["properties"]["holdout"], schema)
    return Holdout(**filled | {"by": HoldoutKind(filled["by"])})


def csv(**keys: Any) -> Csv:
    schema = load_schema("config")
    filled = fill_defaults(keys, schema["properties"]["data"]["properties"]["csv"], schema)
    return Csv(**{key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()})
