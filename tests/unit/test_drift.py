"""Counting in parts: whatever the parts, and wherever they are counted, the sums are the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model_ci.errors import ConfigError
from model_ci.production import rows
from model_ci.profile.grid import Grid, fit
from model_ci.profile.profile import Counted, Profile, column
from model_ci.profile.sketch import Categories, Numbers
from model_ci.stages.check_drift import counting


def table(n: int, seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)
    gaps = draw.normal(1e6, 3, n)
    gaps[::11] = np.nan
    return pa.table(
        {
            "normal": draw.normal(size=n),
            "heavy": draw.lognormal(0, 3, n),
            "gaps": gaps,
            "whole": draw.integers(-5, 5, n),
            "kind": draw.choice(["a", "b", "c", None], n).tolist(),
        }
    )


def columns(whole: pa.Table) -> tuple[Any, ...]:
    return tuple(column(n, "feature", whole.column(n).combine_chunks()) for n in whole.column_names)


def counted(part: pa.Table, of: tuple[Any, ...]) -> Counted:
    found = Counted.of(of)
    for batch in part.to_batches(max_chunksize=700):
        found.add(batch)
    return found


def test_parts_add_up_in_any_order_and_grouping() -> None:
    whole = table(5000, 1)
    of = columns(whole)
    a, b, c = (counted(whole.slice(i * 1700, 1700), of) for i in range(3))
    at_once = Profile(columns=of, counted=counted(whole, of)).to_bytes()
    for sums in (a.merge(b).merge(c), a.merge(b.merge(c)), c.merge(a).merge(b)):
        assert Profile(columns=of, counted=sums).to_bytes() == at_once


def test_a_profile_comes_back_as_it_was_written_and_holds_no_row() -> None:
    whole = table(20_000, 2)
    written = Profile(columns=columns(whole), counted=counted(whole, columns(whole))).to_bytes()
    read = Profile.from_bytes(written, "here")
    assert read.to_bytes() == written
    assert len(written) < 100_000
    assert read.rows == 20_000
    with pytest.raises(ConfigError, match="is no profile"):
        Profile.from_bytes(written[:-20], "here")


@pytest.mark.parametrize("name", ["normal", "heavy", "whole"])
def test_a_sketch_is_as_near_as_its_grid(name: str) -> None:
    whole = table(20_000, 3)
    values = whole.column(name).to_numpy().astype(float)
    sketch = counted(whole, columns(whole)).sketches[name]
    assert isinstance(sketch, Numbers)
    mean, deviation = sketch.moments or (0, 0)
    assert mean == pytest.approx(values.mean(), abs=values.std() / 1000)
    assert deviation == pytest.approx(values.std(), rel=1e-3)
    assert (sketch.low, sketch.high, sketch.rows) == (values.min(), values.max(), 20_000)


def test_bins_hold_their_values_however_far_away() -> None:
    values = np.array([0.0, -0.0, 1e-12, -1e-9, 3.0, -3.0, 1e9, -1e9, 7.5])
    for grid in (Grid(center=0.0, scale=1.0), Grid(center=7.5, scale=0.25, bits=4)):
        low, high = grid.edges(grid.indices(values))
        near = np.abs(values - grid.center) / grid.scale < 2**20 - 1
        assert ((low <= values) & (values <= high))[near].all()
    assert fit(np.zeros(0)) == Grid(center=0.0, scale=1.0)
    assert fit(np.full(9, 5.0)).scale > 0


def test_categories_that_are_too_many_are_counted_together() -> None:
    found = Categories()
    found.add(pa.array([f"user {i % 1500}" for i in range(6000)]))
    small = found.small()
    assert (len(small.counts), small.others, small.rows) == (1000, 500, 6000)


@pytest.mark.slow
def test_the_same_numbers_on_dask(tmp_path: Path) -> None:
    """A real scheduler and workers on this machine count the parts."""
    distributed = pytest.importorskip("distributed")
    whole = table(6000, 4)
    for i in range(3):
        pq.write_table(whole.slice(i * 2000, 2000), tmp_path / f"part-{i}.parquet")
    found = rows.open("part-*.parquet", tmp_path)
    work = counting.Work(columns=columns(whole), names={})
    here = counting.tally(found.parts, work)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        there = counting.tally(found.parts, work, "dask", cluster.scheduler_address)
    sides = [Profile(columns=work.columns, counted=t.whole()).to_bytes() for t in (here, there)]
    assert sides[0] == sides[1]
    assert here.whole().rows == 6000
