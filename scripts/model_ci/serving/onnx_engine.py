"""A model through ONNX Runtime: two tensors in, labels and probabilities out."""

from typing import Final

from model_ci.serving.predictions import Predictions, one_column
from model_ci.serving.signature import NUMBERS, Rows, Signature, matrix
from model_ci.serving.types import Values

TEXTS, NUMBERS_INPUT = "texts", "numbers"
NULL: Final = "\x00null"  # a tensor of text has no null


class OnnxEngine:
    """The graph takes the text columns as one tensor and all others, as doubles, as another, in the signature's order."""

    def __init__(self, model: bytes, signature: Signature, classes: Values, threads: int) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it cannot do, it raises as well
        if threads == 1:
            options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in session.get_outputs()]
        self._run = getattr(session, "_sess", session).run  # what it is around checks what is checked here already
        kinds = [column.type for column in signature.columns]
        self._texts = [i for i, kind in enumerate(kinds) if kind == "string"]
        self._numbers = [i for i, kind in enumerate(kinds) if kind in NUMBERS]
        self._kind = np.array(classes).dtype if classes and not isinstance(classes[0], str) else None
        self._classifies = bool(classes)

    def predict(self, rows: Rows) -> Predictions:
        """Run the graph."""
        given = {}
        if self._numbers:
            given[NUMBERS_INPUT] = matrix([rows.values[i] for i in self._numbers], "float64")
        if self._texts:
            given[TEXTS] = matrix([_filled(rows.values[i]) for i in self._texts], object)
        answers = self._run(self._outputs, given, None)
        labels = one_column(answers[0])
        if not self._classifies:
            return Predictions(labels=labels, probabilities=None)
        if self._kind is not None and labels.dtype != self._kind:
            labels = labels.astype(self._kind)
        return Predictions(labels=labels, probabilities=answers[1] if len(answers) > 1 else None)


def _filled(values: Values) -> Values:
    return [NULL if value is None else value for value in values] if None in values else values
