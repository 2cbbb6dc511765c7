"""The OpenAPI document of a served model, with its own columns."""

from typing import TYPE_CHECKING, Final

from model_ci.serving.inference import KNOWN
from model_ci.serving.service import Service
from model_ci.serving.signature import LARGEST, RANGES, Column
from model_ci.serving.types import Document, Record, Value

if TYPE_CHECKING:
    pass


_TYPES: Final[dict[str, list[str]]] = {
    "string": ["string", "null"], "datetime": ["string", "null"], "boolean": ["boolean"], "long": ["integer"],
    "integer": ["integer"], "double": ["number", "null"], "float": ["number", "null"],
}  # fmt: skip
_LABEL: Final = {"type": ["string", "number", "boolean", "null"]}
_NUMBERS: Final = {"type": "array", "items": {"type": "number"}}
_WHY: Final = {
    400: "The body is not of this form.", 408: "The body did not come in time.",
    413: "The body, or its rows, are more than the service takes.", 415: "The body is not said to be JSON.",
    422: "The rows are not by the signature, or the model refuses them; each problem with column and row.",
    500: "The service failed.", 503: "The model is being loaded, or the service is shutting down.",
}  # fmt: skip


def document(service: Service, *, explains: bool) -> Document:
    """Describe every route."""
    columns, name = service.signature.columns, service.manifest["name"]
    rows = {"$ref": "#/components/schemas/Rows"}
    paths: Document = {
        "/invocations": _post("Predict rows, as MLflow's protocol writes them.", rows, _predictions()),
        f"/v2/models/{name}/infer": _post(
            "Predict rows, as the Open Inference Protocol writes them.",
            {"$ref": "#/components/schemas/InferenceRequest"}, {"type": "object", "required": ["outputs"]},
        ),
        "/explain": _post("Tell what each column adds to the model's output.", rows, _attributions(), explains=explains),
        "/livez": _get("The process answers.", None),
        "/readyz": _get("The model is warmed up by a real prediction.", 503),
        "/version": _get("What is served.", None),
        "/v2": _get("What serves.", None),
        "/v2/health/live": _get("The process answers.", None),
        "/v2/health/ready": _get("The model is warmed up.", 503),
        f"/v2/models/{name}": _get("What the model takes and answers.", None),
        f"/v2/models/{name}/ready": _get("The model is warmed up.", 503),
        "/metrics": {"get": {"summary": "What Prometheus reads.", "responses": {"200": {
            "description": "Counts.", "content": {"text/plain": {"schema": {"type": "string"}}},
        }}}},
    }  # fmt: skip
    version = service.manifest.version or "0"
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version},
        "paths": paths,
        "components": {"schemas": _schemas(columns)},
    }


def _post(summary: str, sent: Value, answered: Value, *, explains: bool = True) -> Document:
    refused = {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}}
    why = dict(_WHY) if explains else {**_WHY, 501: "Explanations are not in this image."}
    responses = {str(status): {**refused, "description": text} for status, text in why.items()}
    good = {"200": {"description": "The answer.", "content": {"application/json": {"schema": answered}}}}
    body = {"required": True, "content": {"application/json": {"schema": sent}}}
    names = [("X-Request-Id", "Given back, and written to the prediction log."), ("X-User-Id", "Written to the log.")]
    headers = [
        {"name": n, "in": "header", "description": text, "schema": {"type": "string", "pattern": "^[ -~]{0,128}$"}}
        for n, text in names
    ]
    return {
        "post": {"summary": summary, "parameters": headers, "requestBody": body, "responses": {**good, **responses}}
    }


def _get(summary: str, other: int | None) -> Document:
    content = {"content": {"application/json": {"schema": {"type": "object"}}}}
    responses = {"200": {"description": "Yes.", **content}}
    if other:
        responses[str(other)] = {"description": "No.", **content}
    return {"get": {"summary": summary, "responses": responses}}


def _schemas(columns: list[Column]) -> Document:
    value = {"type": ["string", "number", "boolean", "null"]}
    split = {
        "type": "object", "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}, "enum": [[c.name for c in columns]]},
            "data": {"type": "array", "minItems": 1, "items": {
                "type": "array", "minItems": len(columns), "maxItems": len(columns),
                "prefixItems": [_values(c) for c in columns],
            }},
        },
    }  # fmt: skip
    record = {
        "type": "object", "properties": {c.name: _values(c) for c in columns},
        "required": [c.name for c in columns if c.required],
    }  # fmt: skip
    listed = {"type": "array", "minItems": 1, "items": record}
    forms = [("dataframe_split", split), ("dataframe_records", listed), ("instances", listed)]
    forms += [("inputs", listed)]  # or columns, all of one length, for which a schema has no words
    tensor = {
        "type": "object", "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"enum": [c.name for c in columns]}, "datatype": {"enum": list(KNOWN)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2},
            "data": {"type": "array", "items": value},
        },
    }  # fmt: skip
    return {
        "Rows": {"anyOf": [
            {"type": "object", "required": [n], "properties": {n: s}, "additionalProperties": False} for n, s in forms
        ]},
        "InferenceRequest": {
            "type": "object", "required": ["inputs"],
            "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "minItems": 1, "items": tensor}},
        },
        "Refusal": {
            "type": "object", "required": ["error"],
            "properties": {
                "error": {"type": "string"},
                "problem_count": {"type": "integer"},
                "problems": {"type": "array", "items": {
                    "type": "object", "required": ["column", "row", "reason"],
                    "properties": {
                        "column": {"type": ["string", "null"]}, "row": {"type": ["integer", "null"]},
                        "reason": {"type": "string"},
                    },
                }},
            },
        },
    }  # fmt: skip


def _values(column: Column) -> Record:
    schema: Document = {"type": _TYPES[column.type]}
    if column.type in RANGES:
        schema["minimum"], schema["maximum"] = RANGES[column.type]
    if column.type in LARGEST:
        schema["minimum"], schema["maximum"] = -LARGEST[column.type], LARGEST[column.type]
    if column.type == "datetime" and column.zoned is not False:
        schema["format"] = "date-time"
    elif column.type == "datetime":
        schema["description"] = "A time without an offset, such as 2024-05-01T12:30:00."
    return schema


def _predictions() -> Record:
    return {
        "type": "object", "required": ["predictions"],
        "properties": {
            "predictions": {"type": "array", "items": _LABEL},
            "probabilities": {"type": "array", "items": _NUMBERS},
        },
    }  # fmt: skip


def _attributions() -> Record:
    return {"type": "object", "required": ["columns", "base", "outputs", "attributions", "scale"]}
