"""The figures: which columns count, in which direction, and at which values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.explanation.attributions import Attributions
from model_ci.stages.explain.importance import ColumnImportance

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from model_ci.types import Array, Series


_SHOWN: Final = 10
_PANELS: Final = 4
_NAMED: Final = 8  # categories on an axis
_OURS, _THEIRS, _GREY = "#1f6feb", "#c9ced6", "#57606a"
_STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY, "xtick.color": _GREY, "ytick.color": "#24292f", "svg.fonttype": "none",
    "svg.hashsalt": "model-ci", "axes.titlesize": 10.0, "text.parse_math": False,
}  # fmt: skip


def draw(
    folder: Path,
    attributions: Attributions,
    rows: "pd.DataFrame",
    columns: Sequence[ColumnImportance],
    champion: Sequence[ColumnImportance] | None,
) -> None:
    """Write importance, summary and dependence as PNG and SVG; `rows` are those that were explained."""
    shown, words = _shown(attributions)
    top = [column.name for column in columns[:_SHOWN]]
    with _style():
        _save(_importance(columns, champion), folder / "importance")
        _save(_summary(attributions, rows, top, shown, words), folder / "summary")
        _save(_dependence(attributions, rows, top[:_PANELS], shown, words), folder / "dependence")


def _shown(attributions: Attributions) -> tuple[int, str]:
    """Choose the output that is drawn; of several classes the one that the columns say most about."""
    import numpy as np

    outputs = attributions.values.shape[2]
    if outputs == 1:
        return 0, f"adds to the {attributions.scale}"
    output = int(np.abs(attributions.values).mean(axis=(0, 1)).argmax())
    return output, f"adds to the {attributions.scale} of class {output + 1} of {outputs}"


@contextmanager
def _style() -> Iterator[None]:
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def _figure(height: float, panels: int = 1, *, wide: bool = False) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, height), layout="constrained")
    across = min(panels, 2) if wide else 1
    made = figure.subplots(-(-panels // across), across, squeeze=False).ravel().tolist()
    for spare in made[panels:]:
        spare.set_axis_off()
    return figure, made[:panels]


def _save(figure: "Figure", file: Path) -> None:
    figure.savefig(file.with_suffix(".png"), dpi=120, metadata={"Software": None})
    figure.savefig(file.with_suffix(".svg"), dpi=120, metadata={"Date": None})


def _importance(columns: Sequence[ColumnImportance], champion: Sequence[ColumnImportance] | None) -> "Figure":
    top = columns[:_SHOWN]
    figure, (axes,) = _figure(0.9 + 0.3 * len(top))
    before = {column.name: column.share or 0.0 for column in champion or ()}
    places = range(len(top))
    height = 0.38 if champion else 0.65
    shift = height / 2 if champion else 0.0
    axes.barh([p - shift for p in places], [c.share or 0.0 for c in top], height, color=_OURS, label="this model")
    if champion:
        axes.barh([p + shift for p in places], [before.get(c.name, 0.0) for c in top], height, color=_THEIRS, label="champion")  # fmt: skip
        axes.legend(frameon=False, loc="lower right")
    for place, column in enumerate(top):
        axes.annotate(f"{column.share or 0.0:.1%}", (column.share or 0.0, place - shift), (3, 0), textcoords="offset points", va="center", color=_GREY, size=8)  # fmt: skip
    axes.set_yticks(list(places), [_name(c.name) for c in top])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("share of the attribution")
    axes.tick_params(axis="y", length=0)
    return figure


def _summary(attributions: Attributions, rows: "pd.DataFrame", top: Sequence[str], shown: int, words: str) -> "Figure":
    """Draw each row as a dot, swarming where there are many, coloured by the column's value."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("values", ["#2f81f7", "#a371f7", "#f0386b"])
    colors = scale.with_extremes(bad="#8c959f")
    figure, (axes,) = _figure(1.2 + 0.36 * len(top))
    axes.axvline(0, color="#d0d7de", linewidth=1, zorder=0)
    for place, name in enumerate(top):
        values = attributions.values[:, list(attributions.columns).index(name), shown]
        height = place + _swarm(values)
        axes.scatter(values, height, s=9, c=_ranks(rows[name]), cmap=colors, vmin=0, vmax=1, alpha=0.8, linewidths=0, rasterized=True, plotnonfinite=True)  # fmt: skip
    axes.set_yticks(range(len(top)), [_name(name) for name in top])
    axes.set_ylim(len(top) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(words)
    bar = figure.colorbar(ScalarMappable(cmap=colors), ax=axes, aspect=40, pad=0.02, ticks=[0, 1])
    bar.ax.set_yticklabels(["low", "high"])
    bar.set_label("column's value (text and gaps: grey)", labelpad=-12)
    bar.outline.set_visible(False)
    return figure


def _dependence(
    attributions: Attributions, rows: "pd.DataFrame", top: Sequence[str], shown: int, words: str
) -> "Figure":
    """Draw for the columns that count most what each value adds."""
    panels = max(len(top), 1)
    figure, axes = _figure(2.6 * -(-panels // 2), panels, wide=True)
    for panel, name in zip(axes, top, strict=False):
        values = attributions.values[:, list(attributions.columns).index(name), shown]
        panel.axhline(0, color="#d0d7de", linewidth=1, zorder=0)
        places, labels = _places(rows[name], values)
        panel.scatter(places, values, s=9, color=_OURS, alpha=0.5, linewidths=0, rasterized=True)
        if labels:
            panel.set_xticks(range(len(labels)), [_name(label, 12) for label in labels], rotation=30 if len(labels) > 4 else 0)  # fmt: skip
        panel.set_title(_name(name), loc="left")
    figure.supylabel(words, size=9, color=_GREY)
    return figure


def _places(column: "Series", values: "Array") -> "tuple[Array, list[str]]":
    """Place numbers where they are, and categories side by side, by what they add; rare ones together."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return np.asarray(column.to_numpy(dtype=float, na_value=np.nan)), []
    if pd.api.types.is_datetime64_any_dtype(column):
        return column.to_numpy(), []
    text = column.astype(object).where(column.notna(), "(none)").astype(str)
    many = text.value_counts()
    text = text.where(text.isin(many.index[:_NAMED]), "(others)") if len(many) > _NAMED + 1 else text
    means = pd.Series(values, index=text.index).groupby(text).mean().sort_values()
    labels = [str(label) for label in means.index]
    aside = np.random.default_rng(0).uniform(-0.2, 0.2, len(text))
    places = text.map({label: i for i, label in enumerate(labels)})
    return np.asarray(places, dtype=float) + aside, labels


def _swarm(values: "Array") -> "Array":
    """Spread dots that fall into the same place, evenly to both sides."""
    import numpy as np

    finite = np.nan_to_num(values)
    width = (finite.max() - finite.min()) / 90 if len(finite) else 0.0
    bins = np.round(finite / width).astype(int) if width > 0 else np.zeros(len(finite), dtype=int)
    heights = np.zeros(len(finite))
    most = np.unique(bins, return_counts=True)[1].max(initial=1)
    for bin_ in np.unique(bins):
        inside = (bins == bin_).nonzero()[0]
        ranks = np.arange(len(inside))
        heights[inside] = np.where(ranks % 2, 1, -1) * ((ranks + 1) // 2)
    return np.asarray(heights * (0.76 / max(most, 14)))


def _ranks(column: "Series") -> "Array":
    """Scale values to 0..1 by rank, so that one outlier does not take the colours of all; text has no rank."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column):
        return np.full(len(column), np.nan)
    ranks = column.rank(method="average").to_numpy(dtype=float, na_value=np.nan)
    low, high = (np.nanmin(ranks), np.nanmax(ranks)) if np.isfinite(ranks).any() else (0.0, 0.0)
    scaled = (ranks - low) / (high - low) if high > low else np.where(np.isfinite(ranks), 0.5, np.nan)
    return np.asarray(scaled)


def _name(text: str, longest: int = 28) -> str:
    """Shorten a name, and keep what is no printable text out of the figure."""
    plain = "".join(c if c.isprintable() else "?" for c in str(text))
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
