"""An object held against its own definition, as the API server holds it, but in words that say what to write.

The definition is the generated one, with its rules: what is refused here is what `kubectl apply` refuses, without a
cluster. Unknown fields are errors, as they are for kubectl: what is not read is not what its author meant.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from forestall.api import API_VERSION, KINDS, Resource
from forestall.api.crd import crd
from forestall.api.findings import Finding, Path, written_path
from forestall.api.meant import suggestion
from forestall.core.cel import holds
from forestall.core.wording import did_you_mean, plural, shortened_list

_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_FIELDS_NAMED: Final = 16
"""How many fields are listed where none is like the one that was written."""
_RULES: Final = "x-kubernetes-validations"
_MODELS: Final = {kind.KIND: kind for kind in KINDS}


def check(body: Mapping[str, Any]) -> list[Finding]:
    """Return what keeps the API server from taking one of forestall's objects; each is an error."""
    kind = body.get("kind")
    model = _MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        hint = did_you_mean(str(kind), _MODELS)
        return [Finding("error", ("kind",), f"{kind!r} is no kind of forestall.{hint}")]
    findings = [*_version(body), *_metadata(body.get("metadata"))]
    walk = _Walk(_schema(model))
    walk.node(_schema(model), {key: value for key, value in body.items() if key != "status"}, ())
    return [*findings, *walk.findings]


@lru_cache(maxsize=len(KINDS))
def _schema(model: type[Resource]) -> Mapping[str, Any]:
    schema: dict[str, Any] = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = {name: field for name, field in schema["properties"].items() if name != "status"}
    return {**schema, "properties": fields}


def _version(body: Mapping[str, Any]) -> Iterator[Finding]:
    if body.get("apiVersion") != API_VERSION:
        yield Finding("error", ("apiVersion",), f"{body.get('apiVersion')!r} is not known: write {API_VERSION}")


def _metadata(metadata: Any) -> Iterator[Finding]:
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        yield Finding("error", ("metadata", "name"), "the name is missing")
        return
    if not isinstance(metadata["name"], str) or not _NAME.fullmatch(metadata["name"]):
        message = "not a name: use lower-case letters, digits, dashes and dots, such as checkout-latency"
        yield Finding("error", ("metadata", "name"), f"{metadata['name']!r} is {message}")
    for field in ("labels", "annotations"):
        values = metadata.get(field) or {}
        if not isinstance(values, Mapping):
            yield Finding("error", ("metadata", field), "write a map of texts")
            continue
        for key, value in values.items():
            if not isinstance(value, str):
                yield Finding("error", ("metadata", field, str(key)), f"must be a text: write {json.dumps(str(value))}")


class _Walk:
    """One walk through an object along its schema."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.findings: list[Finding] = []
        self._root = root

    def node(self, schema: Mapping[str, Any], value: Any, path: Path) -> Any:
        """Check `value`; return it as the API server keeps it: without nulls, with its defaults."""
        before = len(self.findings)
        kind = schema.get("type")
        if (message := suggestion(schema, value, path)) is not None:
            self._error(path, message)
            return value
        if kind == "object":
            value = self._object(schema, value, path)
        elif kind == "array":
            value = self._array(schema, value, path)
        if len(self.findings) == before:
            self._rules(schema, value, path)
        if len(self.findings) == before:
            self._bounds(schema, value, path)
        return value

    def _error(self, path: Path, message: str) -> None:
        self.findings.append(Finding("error", path, message))

    def _object(self, schema: Mapping[str, Any], value: Mapping[Any, Any], path: Path) -> Any:
        fields: Mapping[str, Any] = schema.get("properties", {})
        value_schema = schema.get("additionalProperties")
        if not fields and value_schema is None:
            return value
        result: dict[str, Any] = {}
        for name, inner in value.items():
            if inner is None:
                continue  # the API server takes an empty field for one that is not there
            if (below := fields.get(name, value_schema)) is None:
                self._error((*path, str(name)), self._unknown(str(name), fields))
            else:
                result[str(name)] = self.node(below, inner, (*path, str(name)))
        for name in schema.get("required", ()):
            if name not in result and name in fields:
                self._error((*path, name), f"is missing: {_purpose(fields[name])}")
        for name, below in fields.items():
            if name not in result and "default" in below:
                # What a default leaves out has defaults of its own.
                result[name] = self.node(below, below["default"], (*path, name))
        return result

    def _unknown(self, name: str, fields: Mapping[str, Any]) -> str:
        if hint := did_you_mean(name, fields):
            return f"unknown field.{hint}"
        if paths := [written_path(path) for path in _paths_of(self._root, name, ())][:2]:
            return f"unknown field here: it belongs in {' or '.join(paths)}"
        return f"unknown field; the fields here are {shortened_list(fields, _FIELDS_NAMED)}"

    def _array(self, schema: Mapping[str, Any], value: list[Any], path: Path) -> list[Any]:
        result = [self.node(schema["items"], item, (*path, number)) for number, item in enumerate(value)]
        keys = schema.get("x-kubernetes-list-map-keys")
        unique = keys is not None or schema.get("x-kubernetes-list-type") == "set"
        keys_so_far: list[Any] = []
        for number, item in enumerate(result if unique else ()):
            key_values = {key: item.get(key) for key in keys} if keys and isinstance(item, Mapping) else item
            if key_values in keys_so_far:
                name = ", ".join(map(str, key_values.values())) if isinstance(key_values, dict) else key_values
                self._error((*path, number), f"{name!r} is there twice")
            keys_so_far.append(key_values)
        return result

    def _rules(self, schema: Mapping[str, Any], value: Any, path: Path) -> None:
        for rule in schema.get(_RULES, ()):
            if "oldSelf" in rule["rule"]:
                continue  # about a change
            try:
                holds_true = holds(rule["rule"], value)
            except (LookupError, TypeError, ValueError, ArithmeticError):
                holds_true = False
            if not holds_true:
                below = tuple(part for part in rule.get("fieldPath", "").split(".") if part)
                self._error((*path, *below), _message(str(rule["message"]), value))
                return

    def _bounds(self, schema: Mapping[str, Any], value: Any, path: Path) -> None:
        for message in _passed(schema, value):
            self._error(path, message)


def _message(message: str, value: Any) -> str:
    """Return a rule's message with the value that breaks it, where that is one."""
    if not isinstance(value, str | int | float):
        return message
    if message.startswith("not a"):
        return f"{_shown_value(value)} is {message}"
    return f"{_shown_value(value)} {message}" if message.startswith("must ") else message


def _shown_value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _passed(schema: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield the bounds of a schema that a value passes."""
    if "enum" in schema and value not in schema["enum"]:
        hint = did_you_mean(str(value), map(str, schema["enum"]))
        yield f"{_shown_value(value)} is not one of {', '.join(map(str, schema['enum']))}.{hint}"
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            yield "is empty"
        if len(value) > schema.get("maxLength", math.inf):
            yield f"is longer than {plural(schema['maxLength'], 'character')}"
    elif isinstance(value, list | Mapping):
        minimum, maximum = (("minItems", "maxItems"), ("minProperties", "maxProperties"))[isinstance(value, Mapping)]
        if len(value) < schema.get(minimum, 0):
            yield f"needs at least {schema[minimum]}"
        if len(value) > schema.get(maximum, math.inf):
            yield f"has more than {schema[maximum]}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _far(schema, value)


def _far(schema: Mapping[str, Any], value: float) -> Iterator[str]:
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    if value < low or (value == low and schema.get("exclusiveMinimum")):
        share = f": write {value / 100:g}" if 0 <= low < value / 100 < high else ""
        yield f"{value:g} must be {'above' if schema.get('exclusiveMinimum') else 'at least'} {low:g}{share}"
    if value > high or (value == high and schema.get("exclusiveMaximum")):
        share = f": a share, not a percentage, so write {value / 100:g}" if high == 1 and 1 < value < 100 else ""
        yield f"{value:g} must be {'below' if schema.get('exclusiveMaximum') else 'at most'} {high:g}{share}"


def _purpose(schema: Mapping[str, Any]) -> str:
    """Return the first sentence of a field's description."""
    text = str(schema.get("description", "it is required")).partition(". ")[0].rstrip(".")
    return text[:1].lower() + text[1:]


def _paths_of(schema: Mapping[str, Any], name: str, path: Path) -> Iterator[Path]:
    """Yield where in a schema there is a field of this name."""
    for field, below in schema.get("properties", {}).items():
        if field == name and path:
            yield (*path, field)
        yield from _paths_of(below, name, (*path, field))
    if "items" in schema and path:
        yield from _paths_of(schema["items"], name, (*path[:-1], f"{path[-1]}[]"))
