"""The model: categories as categories, numbers as they are, gradient boosting on top."""

from typing import Final

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

CATEGORIES: Final = ["carrier", "origin", "dest"]


def build(max_iter: int, learning_rate: float, max_leaf_nodes: int) -> Pipeline:
    """Return the unfitted model; its input is the table itself, text columns and gaps included.

    A destination that training has not seen counts as unknown, so the model survives a new route.
    """
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = ColumnTransformer([("categories", encode, CATEGORIES)], remainder="passthrough")
    boosting = HistGradientBoostingClassifier(
        max_iter=max_iter,
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        categorical_features=list(range(len(CATEGORIES))),
        early_stopping=False,
    )
    return Pipeline([("columns", columns), ("boosting", boosting)])
