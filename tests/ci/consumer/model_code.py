"""The model: a logistic regression on two numbers and a category."""

from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder


def build(C: float = 1.0) -> Pipeline:  # noqa: N803 - as scikit-learn names it
    """Return the unfitted model."""
    kinds = (OneHotEncoder(handle_unknown="ignore"), ["kind"])
    columns = make_column_transformer(kinds, ("passthrough", ["size", "age"]), remainder="drop")
    return make_pipeline(columns, LogisticRegression(C=C, max_iter=500))
