"""The standard library's frozen dataclass, without the methods that it compiles for each class.

Compiling them takes half a millisecond a class: with a hundred classes, a quarter of a run that has nothing to do.
Here all classes share one set of methods. `fields`, `replace` and `asdict` work as with any dataclass.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

__all__ = ["dataclass"]
T = TypeVar("T")


def _init(self: Any, /, **values: Any) -> None:
    kind = type(self)
    if values.keys() != kind.__annotated__:
        if missing := kind.__required__ - values.keys():
            raise TypeError(f"{kind.__qualname__}() misses {', '.join(sorted(missing))}")
        if unknown := values.keys() - kind.__annotated__:
            raise TypeError(f"{kind.__qualname__}() got an unexpected {', '.join(sorted(unknown))}")
        values = {
            field.name: values[field.name] if field.name in values else _default(field)
            for field in dataclasses.fields(self)
        }
    self.__dict__.update(values)
    if after := getattr(self, "__post_init__", None):
        after()


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse(self: Any, name: str, *_: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


_METHODS: Final = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": _hash,
    "__setattr__": _refuse,
    "__delattr__": _refuse,
}


def _frozen(kind: type[T]) -> type[T]:
    own = vars(kind).keys()
    made = dataclasses.dataclass(init=False, repr=False, eq=False, match_args=False, kw_only=True)(kind)
    fields = dataclasses.fields(made)  # type: ignore[arg-type]
    if odd := [f.name for f in fields if not (f.init and f.compare and f.hash is None)]:
        raise TypeError(f"{kind.__qualname__}: {', '.join(odd)}: use the standard library's dataclass for such a field")
    required = (f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING)
    shared = {**_METHODS, "__annotated__": frozenset(f.name for f in fields), "__required__": frozenset(required)}
    for name, value in shared.items():
        if name not in own:
            setattr(made, name, value)
    return made


if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen: bool = False, kw_only: bool = False) -> "Callable[[type[T]], type[T]]":
        """Make a dataclass; one that is not frozen, or takes values by position, is the standard library's."""
        return _frozen if frozen and kw_only else dataclasses.dataclass(frozen=frozen, kw_only=kw_only)
