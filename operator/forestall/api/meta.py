"""What all kinds share: the base model, durations, conditions, references, selectors."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from forestall.core.duration import PATTERN, parse_duration

GROUP = "forestall.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
LABEL_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]*$"


class Duration(str):
    """A duration as Prometheus writes it, such as `90s`, `5m`, `1h30m` or `30d`."""

    __slots__ = ()

    @property
    def seconds(self) -> float:
        """The duration in seconds."""
        return parse_duration(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept the grammar's strings only."""
        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(pattern=PATTERN, min_length=2, max_length=32)
        )


def rule(expression: str, message: str, **more: Any) -> dict[str, Any]:
    """Return one CEL rule for the CRD schema (`x-kubernetes-validations`)."""
    return {"rule": expression, "message": message, **more}


class Model(BaseModel):
    """The base of every API model: camelCase on the wire, attribute docstrings become `kubectl explain`."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True, frozen=True, extra="ignore"
    )

    def dump(self) -> dict[str, Any]:
        """Return the JSON form, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Condition(Model):
    """A condition in the form of `metav1.Condition`."""

    type: str
    """What the condition is about, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    reason: str
    """Why, as one CamelCase word for programs."""
    message: str = ""
    """Why, for people."""
    last_transition_time: str | None = None
    """When `status` last changed."""
    observed_generation: int | None = None
    """The generation that the condition was computed from."""


class Requirement(Model):
    """One requirement of a label selector."""

    key: str
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value relates to `values`."""
    values: Annotated[list[str], Field(max_length=64)] = []
    """The values; empty for Exists and DoesNotExist."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Say whether `labels` meet this requirement."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class LabelSelector(Model):
    """A label selector in the form of `metav1.LabelSelector`; an empty one selects everything."""

    match_labels: dict[str, str] = {}
    """Labels that must be there with just these values."""
    match_expressions: Annotated[list[Requirement], Field(max_length=16)] = []
    """Further requirements, all of which must hold."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Say whether `labels` are selected."""
        return all(labels.get(k) == v for k, v in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


class Metadata(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str | None = None
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(Model):
    """The base of the five kinds."""

    KIND: ClassVar[str]
    PLURAL: ClassVar[str]
    SINGULAR: ClassVar[str]
    SHORT_NAMES: ClassVar[tuple[str, ...]]
    NAMESPACED: ClassVar[bool]
    COLUMNS: ClassVar[tuple[dict[str, object], ...]]
    """Printer columns of `kubectl get`, in the form of `additionalPrinterColumns`."""

    metadata: Metadata

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for a cluster-scoped kind."""
        return self.metadata.namespace or ""

    @property
    def uid(self) -> str:
        """The object's UID."""
        return self.metadata.uid

    @classmethod
    def read(cls, body: Any) -> Self:
        """Return the model of `body`, an object as the API server gives it.

        Raises:
            pydantic.ValidationError: the object does not fit the schema.
        """
        return cls.model_validate(body)


def condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of type `kind`, if it is there."""
    return next((each for each in conditions if each.type == kind), None)
