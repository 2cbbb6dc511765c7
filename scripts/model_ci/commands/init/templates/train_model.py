"""The model that model-ci trains: a first one that learns from numbers and text; change it to your own."""

import numpy as np
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def build(max_iter: int = 100, learning_rate: float = 0.1) -> Pipeline:
    """Return the unfitted model; its input is the table itself, gaps included.

    The arguments are train.parameters of model-ci.yaml. A text that training has not seen counts as unknown.
    """
    text = make_column_selector(dtype_exclude=["number", "bool"])
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns = ColumnTransformer([("text", encode, text)], remainder="passthrough")
    model = HistGradientBoostingClassifier(max_iter=max_iter, learning_rate=learning_rate, early_stopping=False)
    return Pipeline([("columns", columns), ("model", model)])
