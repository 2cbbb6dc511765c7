"""What the environment tells the service."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_ci.serving.refusal import StartError
from model_ci.serving.types import Document, Value

PREFIX: Final = "MODEL_CI_"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Each field is the variable MODEL_CI_<NAME>, with its default."""

    manifest: Path = Path("/srv/manifest.json")
    host: str = "0.0.0.0"  # noqa: S104 - it serves from within a container
    port: int = 8080
    variant: str = "default"
    prediction_log: Path | None = None
    log_sample: float = 1.0
    log_max_mb: float = 1024.0
    max_body_mb: float = 16.0
    max_rows: int = 10_000
    threads: int = 1
    drain_s: float = 5.0

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the environment; raise StartError with everything that is wrong with it."""
        values: Document = {}
        wrong: list[str] = []
        for name, (parse, allowed) in _PARSERS.items():
            text = environment.get(PREFIX + name.upper(), "")
            if not text:
                continue
            try:
                values[name] = parse(text)
            except ValueError:
                wrong.append(f"{PREFIX}{name.upper()}: must be {allowed}. Got {text!r}.")
        if wrong:
            raise StartError(*wrong)
        return cls(**values)


def _number(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not math.isfinite(value) or not low <= value <= high or (above and value == low):
            raise ValueError
        return value

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def _label(text: str) -> str:
    if not text.isascii() or not text.isprintable() or len(text) > 128:
        raise ValueError
    return text


_PARSERS: Final[dict[str, tuple[Callable[[str], Value], str]]] = {
    "manifest": (Path, "a path"),
    "host": (str, "an address"),
    "port": (_whole(0, 65535), "a port from 0 to 65535"),
    "variant": (_label, "at most 128 printable ASCII characters"),
    "prediction_log": (Path, "a folder"),
    "log_sample": (_number(0, 1), "a share from 0 to 1"),
    "log_max_mb": (_number(0, 1e9, above=True), "a number above 0"),
    "max_body_mb": (_number(0, 1e6, above=True), "a number above 0"),
    "max_rows": (_whole(1, 10**9), "a whole number from 1"),
    "threads": (_whole(1, 1024), "a whole number from 1 to 1024"),
    "drain_s": (_number(0, 3600), "seconds from 0 to 3600"),
}
