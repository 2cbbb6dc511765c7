"""The models and endpoint configurations of an endpoint: never changed, and named by what is in them."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from model_ci.config import Environment
from model_ci.targets.deployment import CHALLENGER, CHAMPION, Deployment, Variant
from model_ci.targets.sagemaker.aws import Aws, AwsError, translated
from model_ci.types import Document

_TAG: Final = "model-ci."
_LONGEST_START_S: Final = (60, 3600)


class Catalog:
    """What an endpoint of this name is made of."""

    def __init__(self, aws: Aws, name: str, settings: Environment) -> None:
        self.aws, self.name, self.settings = aws, name, settings

    def model_name(self, variant: Variant) -> str:
        """Return the name of a variant's model."""
        return f"{self.name}-{variant.name}-{_mark(self._model(variant))}"

    def model(self, variant: Variant) -> str:
        """Return the name of a variant's model, made when it is not there."""
        name = self.model_name(variant)
        if self._described_model(name) is None:
            with translated(f"model {name}"):
                self.aws.sagemaker.create_model(ModelName=name, **self._model(variant))
        return name

    def configuration(self, desired: Deployment, many: Mapping[str, int]) -> str:
        """Return the name of the endpoint configuration, made when it is not there; `many` machines to begin with."""
        variants = [self.shape(variant) | self._size(variant, many) for variant in desired.variants]
        name = f"{self.name}-{_mark(variants)}"
        for variant in desired.variants:
            self.model(variant)
        if self.described(name) is None:
            with translated(f"endpoint configuration {name}"):
                self.aws.sagemaker.create_endpoint_config(
                    EndpointConfigName=name, ProductionVariants=variants, Tags=self._tags({})
                )
        return name

    def described(self, configuration: str) -> list[Document] | None:
        """Return the variants of an endpoint configuration, None when there is none."""
        try:
            with translated(f"endpoint configuration {configuration}"):
                existing = self.aws.sagemaker.describe_endpoint_config(EndpointConfigName=configuration)
        except AwsError as error:
            if error.absent:
                return None
            raise
        return list(existing["ProductionVariants"])

    def shape(self, variant: Variant) -> Document:
        """Return what of a variant cannot change without a new fleet."""
        options = self.settings.sagemaker
        made: Document = {"VariantName": variant.name, "ModelName": self.model_name(variant)}
        if options.serverless:
            sizes = {
                "MemorySizeInMB": options.serverless["memory_mb"],
                "MaxConcurrency": options.serverless["max_concurrency"],
            }
            return made | {"ServerlessConfig": sizes}
        shortest, longest = _LONGEST_START_S
        start_s = round(min(max(self.settings.timeout_s, shortest), longest))
        return made | {"InstanceType": options.instance_type, "ContainerStartupHealthCheckTimeoutInSeconds": start_s}

    def variables(self, model: str) -> Document:
        """Return what a model is: image, digest, version and run_id."""
        existing = self._described_model(model) or {}
        with translated(f"tags of model {model}"):
            listed = self.aws.sagemaker.list_tags(ResourceArn=existing["ModelArn"])["Tags"] if existing else []
        tags = {each["Key"].removeprefix(_TAG): each["Value"] for each in listed}
        image = existing.get("PrimaryContainer", {}).get("Image", "")
        digest = tags.get("digest") or image.rpartition("@")[2]
        return {"image": image, "digest": digest, "version": tags.get("version"), "run_id": tags.get("run_id")}

    def clear(self, kept: str | None) -> None:
        """Delete all models and configurations of the endpoint but those of the configuration `kept`."""
        used = {each["ModelName"] for each in (self.described(kept) or ())} if kept else set()
        marked = re.compile(rf"{re.escape(self.name)}-[0-9a-f]{{12}}")
        for name in self._listed("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"):
            if marked.fullmatch(name) and name != kept:
                with translated(f"endpoint configuration {name}"):
                    self.aws.sagemaker.delete_endpoint_config(EndpointConfigName=name)
        owned = re.compile(rf"{re.escape(self.name)}-({CHAMPION}|{CHALLENGER})-[0-9a-f]{{12}}")
        for name in self._listed("list_models", "Models", "ModelName"):
            if owned.fullmatch(name) and name not in used:
                with translated(f"model {name}"):
                    self.aws.sagemaker.delete_model(ModelName=name)

    def _listed(self, operation: str, key: str, name: str) -> list[str]:
        with translated(operation):
            pages = self.aws.sagemaker.get_paginator(operation).paginate(NameContains=self.name)
            return [each[name] for page in pages for each in page[key]]

    def _described_model(self, name: str) -> Document | None:
        try:
            with translated(f"model {name}"):
                return dict(self.aws.sagemaker.describe_model(ModelName=name))
        except AwsError as error:
            if error.absent:
                return None
            raise

    def _model(self, variant: Variant) -> Document:
        options = self.settings.sagemaker
        variables = {"MODEL_CI_VARIANT": variant.name, "MODEL_CI_PREDICTION_LOG": ""}
        facts = {
            "variant": variant.name,
            "digest": variant.digest,
            "version": variant.version,
            "run_id": variant.run_id,
        }
        return {
            "PrimaryContainer": {"Image": variant.image, "Environment": {**variables, **options.variables}},
            "ExecutionRoleArn": options.role,
            # The service calls nobody; a serverless variant cannot be cut off.
            "EnableNetworkIsolation": not options.serverless,
            "Tags": self._tags({name: value for name, value in facts.items() if value}),
        }

    def _size(self, variant: Variant, many: Mapping[str, int]) -> Document:
        size: Document = {"InitialVariantWeight": float(variant.weight)}
        return size if self.settings.sagemaker.serverless else size | {"InitialInstanceCount": many[variant.name]}

    def _tags(self, facts: Mapping[str, str]) -> list[dict[str, str]]:
        own = {f"{_TAG}{name}": value for name, value in {"endpoint": self.name, **facts}.items()}
        return [{"Key": key, "Value": value} for key, value in {**self.settings.sagemaker.tags, **own}.items()]


def _mark(content: Any) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
