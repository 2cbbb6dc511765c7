"""What we have applied to an object, read from the cluster's own list of who manages which field."""

import json
from collections.abc import Iterator
from typing import Any

from model_ci.targets.kubernetes.names import MANAGER
from model_ci.types import Document

Manifest = Document


def applied(live: Manifest) -> Manifest:
    """Return the part of a live object that was applied by us, so that applying it again brings that back.

    The format is FieldsV1 of the Kubernetes API: `f:<name>` a field, `k:<keys>` an element by its keys, `v:` by its value.
    """
    identity = {"apiVersion": live["apiVersion"], "kind": live["kind"]}
    metadata = {key: live["metadata"][key] for key in ("name", "namespace")}
    for entry in live["metadata"].get("managedFields", ()):
        if entry["manager"] == MANAGER and entry["operation"] == "Apply":
            part = _part(live, entry["fieldsV1"])
            return {
                **part,
                **identity,
                "apiVersion": entry["apiVersion"],
                "metadata": {**part.get("metadata", {}), **metadata},
            }
    return {**identity, "metadata": metadata}


def _part(value: Any, fields: Document) -> Any:
    inner = {key: sub for key, sub in fields.items() if key != "."}
    if not inner:
        return value
    if isinstance(value, dict):
        return {key[2:]: _part(value[key[2:]], sub) for key, sub in inner.items() if key[2:] in value}
    if isinstance(value, list):
        return [part for key, sub in inner.items() for part in _elements(value, key, sub)]
    return value


def _elements(value: list[Any], key: str, fields: Document) -> Iterator[Any]:
    kind, text = key[0], json.loads(key[2:])
    for element in value:
        if kind == "v" and element == text:
            yield element
        elif kind == "k" and all(element.get(name) == expected for name, expected in text.items()):
            yield _part(element, fields) | text


def differences(live: Any, then: Any, path: str = "") -> Iterator[str]:
    """Yield each field of ours that would change, as `path: before -> after`."""
    if isinstance(live, dict) and isinstance(then, dict):
        for key in sorted({*live, *then}):
            yield from differences(live.get(key), then.get(key), f"{path}.{key}" if path else key)
    elif isinstance(live, list) and isinstance(then, list) and len(live) == len(then):
        for i, (one, other) in enumerate(zip(live, then, strict=True)):
            yield from differences(one, other, f"{path}[{i}]")
    elif live != then:
        yield f"{path}: {_short(live)} -> {_short(then)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}..."
