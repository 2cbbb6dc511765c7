"""Print how a model frozen after March ages, beside one trained each month on all the months before.

Needs pandas and pyarrow besides requirements.txt; the table stands in README.md.
"""

from pathlib import Path
from typing import Final

import pandas as pd
from flights.model import build
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

DATA: Final = Path(__file__).parent / "data"
NOT_FEATURES: Final = ["late", "scheduled"]


def main() -> None:
    """Print one row a month, April to December."""
    frozen = fit(months(1, 3))
    print("| month | late | frozen after March | trained on all before |")
    print("|---|---|---|---|")
    for month in range(4, 13):
        test = months(month, month)
        aged, renewed = auc(frozen, test), auc(fit(months(1, month - 1)), test)
        print(f"| {month:02} | {test.late.mean():.0%} | {aged:.3f} | {renewed:.3f} |")


def months(first: int, last: int) -> pd.DataFrame:
    """Read the files from `first` to `last`."""
    files = [DATA / f"flights-2013-{month:02}.parquet" for month in range(first, last + 1)]
    return pd.concat([pd.read_parquet(file) for file in files])


def fit(table: pd.DataFrame) -> Pipeline:
    """Train with the parameters of model-ci.yaml."""
    model = build(max_iter=100, learning_rate=0.05, max_leaf_nodes=15).set_params(boosting__random_state=0)
    return model.fit(table.drop(columns=NOT_FEATURES), table.late)


def auc(model: Pipeline, table: pd.DataFrame) -> float:
    """Return the area under the ROC curve."""
    return float(roc_auc_score(table.late, model.predict_proba(table.drop(columns=NOT_FEATURES))[:, 1]))


if __name__ == "__main__":
    main()
