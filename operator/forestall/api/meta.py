"""What all kinds share: the base model, durations, conditions, references, selectors."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from forestall.api.times import seconds, stamp
from forestall.core.duration import parse_duration
from forestall.errors import InvalidDuration

GROUP = "forestall.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

VALIDATIONS = "x-kubernetes-validations"

# At most nine digits a unit, so that the arithmetic of a rule cannot overflow.
_DURATION = "^" + "".join(f"([0-9]{{1,9}}{unit})?" for unit in ("w", "d", "h", "m", "s", "ms")) + "$"
_TIMESTAMP = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}(\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_NO_TIMESTAMP = "not a time: write it with its zone, like 2026-01-31T18:00:00Z"
_NO_DURATION = "not a duration: write it like 90s, 5m, 1h30m or 30d"
_MILLISECONDS = {
    "[0-9]+w": 604_800_000,
    "[0-9]+d": 86_400_000,
    "[0-9]+h": 3_600_000,
    "[0-9]+m([0-9]|$)": 60_000,
    "[0-9]+s": 1_000,
    "[0-9]+ms": 1,
}


def rule(expression: str, message: str, **fields: str) -> JsonDict:
    """Return one CEL rule for the CRD schema (`x-kubernetes-validations`)."""
    return {"rule": expression, "message": message, **fields}


def rules(*rule_list: JsonDict) -> ConfigDict:
    """Return the configuration of a model that the API server checks against these rules."""
    return ConfigDict(json_schema_extra={VALIDATIONS: list(rule_list)})


def worded(pattern: str, message: str, *, max_length: int) -> FieldInfo:
    """Return the field of a text that must match `pattern`, and says `message` where it does not.

    A `pattern` in the CRD's schema would be refused with the bare expression, so there it becomes a rule.
    """

    def to_rule(schema: dict[str, Any]) -> None:
        del schema["pattern"]
        schema[VALIDATIONS] = [rule(f"self.matches(r'{pattern}')", message)]

    field: FieldInfo = Field(pattern=pattern, max_length=max_length, json_schema_extra=to_rule)
    return field


DnsLabel = Annotated[
    str,
    worded(
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "not a name: use lower-case letters, digits and dashes, such as checkout-latency",
        max_length=63,
    ),
]
ObjectName = Annotated[
    str,
    worded(
        r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        "not the name of an object of this namespace: use lower-case letters, digits, dashes and dots",
        max_length=253,
    ),
]
ApiVersion = Annotated[
    str,
    worded(
        r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9]+((alpha|beta)[0-9]+)?$",
        "not an API version: write group and version, such as apps/v1",
        max_length=253,
    ),
]
SeriesLabel = Annotated[
    str,
    worded(
        r"^[^\s\x00-\x1f\x22\x27\x5c\x60{}=,]+$",
        "not a Prometheus label: write its name alone, such as pod or k8s.pod.name",
        max_length=128,
    ),
]
LabelName = Annotated[
    str,
    worded(
        r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        "not a Prometheus label: use letters, digits and underscores, such as pod",
        max_length=63,
    ),
]


Count = Annotated[int, Field(ge=0, le=10**12)]
"""A number of things."""
LEAST_MEASURE = 1e-12
MOST_MEASURE = 1e15
_NO_MEASURE = f"must be 0 or at least {LEAST_MEASURE:g} in size: write it in a smaller unit"


Measure = Annotated[
    float,
    Field(
        ge=-MOST_MEASURE,
        le=MOST_MEASURE,
        json_schema_extra={
            VALIDATIONS: [rule(f"self == 0.0 || self >= {LEAST_MEASURE:g} || self <= -{LEAST_MEASURE:g}", _NO_MEASURE)]
        },
    ),
]
"""A value that series are held against. Forecasts compute with its square in 32 bits, so both ends are bounded; one
that an older schema let in and that is smaller counts as zero there."""


def milliseconds(field: str) -> str:
    """Return a CEL expression for the duration that `field` holds, in milliseconds.

    CEL's own `duration()` knows neither days nor weeks. The expression needs a `field` that is a duration.
    """
    terms = (f"int('0' + {field}.find('{part}').find('[0-9]+')) * {factor}" for part, factor in _MILLISECONDS.items())
    return "(" + " + ".join(terms) + ")"


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
        return core_schema.no_info_after_validator_function(cls._check, core_schema.str_schema(max_length=32))

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Let the API server check the same."""
        return handler(core) | {VALIDATIONS: [rule(f"self != '' && self.matches('{_DURATION}')", _NO_DURATION)]}

    @classmethod
    def _check(cls, text: str) -> Self:
        try:
            parse_duration(text)
        except InvalidDuration as error:
            raise ValueError(_NO_DURATION) from error
        return cls(text)


class Timestamp(str):
    """A time with its zone as RFC 3339 writes it, such as `2026-01-31T18:00:00Z`."""

    __slots__ = ()

    @property
    def at(self) -> float:
        """The time in seconds since the epoch."""
        return seconds(self) or 0.0

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept times that exist, with their zone."""
        return core_schema.no_info_after_validator_function(cls._check, core_schema.str_schema(max_length=40))

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Let the API server check the same."""
        # A day that its month does not have fails to convert.
        exists = f"self.matches(r'{_TIMESTAMP}') && timestamp(self) > timestamp('1970-01-01T00:00:00Z')"
        return handler(core) | {VALIDATIONS: [rule(exists, _NO_TIMESTAMP)]}

    @classmethod
    def _check(cls, text: str) -> Self:
        if not re.match(_TIMESTAMP, text) or (seconds(text) or 0.0) <= 0:
            raise ValueError(_NO_TIMESTAMP)
        return cls(text)


def lasts(until: Timestamp | None, now: float) -> bool:
    """Say whether what ends at `until`, or never by itself, still holds at `now` (s)."""
    return until is None or now < until.at


@dataclass(frozen=True, slots=True)
class Between:
    """The bounds of a duration, both included; for use in `Annotated`."""

    low: str
    high: str

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Refuse what is outside."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Let the API server check the same."""
        schema = handler(core)
        low, high = (round(parse_duration(bound) * 1000) for bound in (self.low, self.high))
        value = milliseconds("self")
        # What is no duration at all is said by Duration's own rule.
        within = f"!self.matches('{_DURATION}') || ({value} >= {low} && {value} <= {high})"
        return schema | {VALIDATIONS: [*schema.get(VALIDATIONS, []), rule(within, self._message)]}

    @property
    def _message(self) -> str:
        return f"must be from {self.low} to {self.high}"

    def _check(self, value: Duration) -> Duration:
        if not parse_duration(self.low) <= value.seconds <= parse_duration(self.high):
            raise ValueError(self._message)
        return value


class Model(BaseModel):
    """The base of every API model: camelCase on the wire, attribute docstrings become `kubectl explain`."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
    )

    def dump(self) -> dict[str, Any]:
        """Return the JSON form, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Condition(Model):
    """One observation of the object's state, in the form of `metav1.Condition`."""

    type: str
    """The type of the condition in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """The status of the condition: True, False or Unknown."""
    reason: str
    """A programmatic identifier for the reason of the last transition."""
    message: str = ""
    """A human-readable message with details about the transition."""
    last_transition_time: str | None = None
    """The last time at which the status of the condition changed."""
    observed_generation: int | None = None
    """The `metadata.generation` that the condition was computed from."""

    @classmethod
    def since(
        cls, at: float, kind: str, status: Literal["True", "False", "Unknown"], reason: str, message: str
    ) -> Self:
        """Return a condition of type `kind` whose status changed at `at` (s since the epoch)."""
        return cls(type=kind, status=status, reason=reason, message=message, last_transition_time=stamp(at))


Conditions = Annotated[
    list[Condition],
    Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]


class Requirement(Model):
    """One requirement of a label selector."""

    model_config = rules(
        rule(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            "In and NotIn need `values`; Exists and DoesNotExist take none",
        )
    )

    key: Annotated[str, Field(min_length=1, max_length=317)]
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """The relation of the label's value to `values`."""
    values: Annotated[list[Annotated[str, Field(max_length=63)]], Field(max_length=64)] = []
    """The values; empty for Exists and DoesNotExist."""

    @cached_property
    def _values(self) -> frozenset[str]:
        return frozenset(self.values)

    def matches(self, labels: dict[str, str]) -> bool:
        """Say whether `labels` meet this requirement."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self._values
            case "NotIn":
                return labels.get(self.key) not in self._values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class LabelSelector(Model):
    """A label selector in the form of `metav1.LabelSelector`; an empty one selects everything."""

    match_labels: Annotated[dict[str, Annotated[str, Field(max_length=63)]], Field(max_length=16)] = {}
    """Labels that must match exactly."""
    match_expressions: Annotated[list[Requirement], Field(max_length=16)] = []
    """Further requirements, all of which must hold."""

    def matches(self, labels: dict[str, str]) -> bool:
        """Say whether `labels` are selected."""
        if not self.match_labels.items() <= labels.items():
            return False
        return all(requirement.matches(labels) for requirement in self.match_expressions)


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
    """The base of the kinds of the API, one for each CustomResourceDefinition."""

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
    def read(cls, body: Mapping[str, Any]) -> Self:
        """Return the model of `body`, an object as the API server gives it.

        Raises:
            pydantic.ValidationError: the object does not fit the schema.
        """
        return cls.model_validate(body)


def condition(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of type `kind`, if it is there."""
    return next((item for item in conditions if item.type == kind), None)
