"""YAML as the platforms read it: only true and false are booleans (`on` stays a word), and tags are allowed."""

import re
from pathlib import Path
from typing import Any

import yaml


class Loader(yaml.SafeLoader):
    """A safe loader by YAML 1.2's booleans; an unknown tag such as !reference gives its value."""


_BOOLEAN = "tag:yaml.org,2002:bool"
_UNWANTED = {_BOOLEAN, "tag:yaml.org,2002:timestamp"}


def _untag(loader: Loader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)  # type: ignore[arg-type]


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _UNWANTED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(_BOOLEAN, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
Loader.add_multi_constructor("!", _untag)


def load(file: Path) -> Any:
    """Read a file of one document."""
    return yaml.load(file.read_text(), Loader)


def load_all(file: Path) -> list[Any]:
    """Read a file of several documents, such as a GitLab template with its header."""
    return list(yaml.load_all(file.read_text(), Loader))
