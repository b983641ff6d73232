"""A value of the wrong form, and what its author probably meant: `500` milliseconds, `500Mi`, `99.5%`."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from forestall.api.findings import Path
from forestall.core.duration import format_duration, parse_duration
from forestall.core.quantity import to_milli
from forestall.errors import ForestallError

_NO_DURATION: Final = "not a duration"
_UNITS: Final = {
    "milliseconds": "ms",
    "millisecond": "ms",
    "msec": "ms",
    "seconds": "s",
    "second": "s",
    "sec": "s",
    "minutes": "m",
    "minute": "m",
    "min": "m",
    "hours": "h",
    "hour": "h",
    "days": "d",
    "day": "d",
    "weeks": "w",
    "week": "w",
}
_SPELT: Final = re.compile(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*([a-zA-Z]+)\s*")
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "object": (Mapping,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_LIKELY_MILLISECONDS: Final = 10
"""A bare number in a threshold of latency that is at least this is meant in milliseconds, a smaller one in seconds."""


def suggestion(schema: Mapping[str, Any], value: Any, path: Path) -> str | None:
    """Return what is wrong with the form of a value, and what to write; None where the form is right."""
    kind = schema.get("type", "")
    if kind == "string" and isinstance(value, str) and _is_duration(schema):
        return _misspelt_duration(value)
    if _is_of(kind, value):
        return None
    match kind:
        case "object":
            return f"must be a map, with a line for each field{_fields(schema)}"
        case "array":
            return _no_list(value)
        case "string":
            return _no_text(schema, value, path)
        case "boolean":
            plain = str(value).strip().lower()
            return f"write {plain} without quotes" if plain in ("true", "false") else "write true or false"
        case "integer" | "number":
            return _no_number(value, is_integer=kind == "integer")
    return None


def _is_of(kind: str, value: Any) -> bool:
    if isinstance(value, bool) and kind != "boolean":
        return False
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return kind not in _TYPES or isinstance(value, _TYPES[kind])


def _fields(schema: Mapping[str, Any]) -> str:
    names = schema.get("required") or list(schema.get("properties", {}))[:6]
    return f": {', '.join(names)}" if names else ""


def _no_list(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"must be a list: write a dash before each element, such as `- {next(iter(value), 'name')}: …`"
    return f"must be a list: write [{value}]"


def _is_duration(schema: Mapping[str, Any]) -> bool:
    return any(str(rule["message"]).startswith(_NO_DURATION) for rule in schema.get("x-kubernetes-validations", ()))


def _no_text(schema: Mapping[str, Any], value: Any, path: Path) -> str:
    if isinstance(value, Mapping | list):
        return "must be a text"
    if not _is_duration(schema) or isinstance(value, bool):
        return f"must be a text: write {json.dumps(str(value).lower() if isinstance(value, bool) else str(value))}"
    latency = path[-1:] == ("threshold",)
    if value == 0:
        return "must be a duration with its unit: write 0s"
    if latency and isinstance(value, int) and value >= _LIKELY_MILLISECONDS:
        return f"must be a duration with its unit: write {value}ms"
    if latency or isinstance(value, float):
        return f"must be a duration with its unit: write {_exact(float(value))}"
    return f"must be a duration with its unit: write {value}s or {value}m"


def _exact(seconds: float) -> str:
    """Return seconds as a duration, to the millisecond."""
    milliseconds = round(seconds * 1000)
    return f"{milliseconds}ms" if milliseconds % 1000 else format_duration(seconds)


def _misspelt_duration(text: str) -> str | None:
    try:
        parse_duration(text)
    except ForestallError:
        match = _SPELT.fullmatch(text)
        unit = _UNITS.get(match[2].lower(), match[2]) if match else ""
        if match is None or unit not in _UNITS.values():
            return None  # the rule of the definition says it
        seconds = float(match[1].replace(",", ".")) * parse_duration(f"1{unit}")
        corrected = f"{match[1]}{unit}" if match[1].isdecimal() else _exact(seconds)
        if corrected == text:
            return None
        return f"{text!r} is not a duration: write {corrected}"
    return None


def _no_number(value: Any, *, is_integer: bool) -> str:
    expected = "a whole number" if is_integer else "a number"
    if isinstance(value, float):  # a part where a whole is meant, or not finite
        return f"must be {expected}: write {round(value)}" if math.isfinite(value) else "must be a finite number"
    if not isinstance(value, str):
        return f"must be {expected}"
    plain = value.strip().removesuffix("%").strip().replace(",", ".")
    number = _float(plain)
    if number is None:
        try:
            number = to_milli(value.strip()) / 1000
        except ForestallError:
            return f"must be {expected}, and {value[:40]!r} is none"
    corrected = f"{int(number)}" if number.is_integer() else f"{number:g}"
    how = " without quotes" if plain == value.strip() else ""
    return f"must be {expected}: write {corrected}{how}"


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
