"""PromQL's literals with the semantics of Prometheus: strings by the rules of Go, numbers and durations.

The parser library differs: it refuses raw strings with backslashes, takes an escaped byte for a character, and has no
octal numbers and no underscores in numbers.
"""

import re
from typing import Final

from forestall.errors import InvalidQuery

STRING: Final = r"""'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"|`[^`]*+`"""
"""The pattern of a string literal with any escapes; `.` must match newlines (`re.DOTALL`)."""
MAX_SPAN: Final = 100 * 365 * 86400.0
"""The longest range, step or offset (s)."""

_ESCAPE: Final = re.compile(r"\\(?:x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.)|\Z)", re.DOTALL)
_PLAIN: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_SPECIAL: Final = re.compile('[\x00-\x1f\x7f"\\\\\udc80-\udcff]')
_SHORT: Final = {"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r"}
_DIGITS: Final = "[0-9]+(?:_[0-9]+)*"
_HEX: Final = "[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*"
_UNDERSCORES: Final = re.compile(rf"(?:0[xX]_?{_HEX}|(?:{_DIGITS})?(?:\.(?:{_DIGITS})?)?(?:[eE][+-]?{_DIGITS})?)\Z")
_SPAN: Final = re.compile(r"([0-9]+)(ms|[smhdwy])")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}


def unquote(literal: str) -> str:
    """Return the value of a string literal; bytes that are no UTF-8 become lone surrogates.

    Raises:
        InvalidQuery: an escape sequence is invalid.
    """
    quotation, inner = literal[0], literal[1:-1]
    if quotation == "`" or "\\" not in inner:
        return inner
    decoded, position = bytearray(), 0
    for escape in _ESCAPE.finditer(inner):
        decoded += inner[position : escape.start()].encode()
        decoded += _escaped(escape, quotation)
        position = escape.end()
    return (bytes(decoded) + inner[position:].encode()).decode(errors="surrogateescape")


def quote(text: str) -> str:
    """Return `text` as a PromQL string literal, the inverse of `unquote`."""
    return '"' + _SPECIAL.sub(_escape, text) + '"'


def parse_number(text: str) -> float | None:
    """Return the value of an unsigned number with Go's semantics (`010` is 8); None where it is invalid or infinite."""
    if "_" in text and not _UNDERSCORES.match(text):
        return None
    digits = text.replace("_", "").lower()
    try:
        if digits.startswith("0x"):
            hexadecimal = int(digits, 16)
            return float(hexadecimal) if hexadecimal < 1 << 63 else None
        octal = re.fullmatch("0[0-7]+", digits) and int(digits, 8) < 1 << 63
        value = float(int(digits, 8)) if octal else float(digits)
    except ValueError:
        return None
    return value if value < float("inf") else None


def parse_span(text: str) -> float:
    """Return a duration such as `1h30m` in seconds; infinity where it overflows."""
    parts = _SPAN.findall(text)
    return sum(_SECONDS[unit] * (int(count) if len(count) < 16 else float("inf")) for count, unit in parts)


def _escaped(escape: re.Match[str], quotation: str) -> bytes:
    """Return the bytes of one escape sequence in a literal with the quotation mark `quotation`."""
    byte, octal, short, long, other = escape.groups()
    if byte is not None:
        return bytes((int(byte, 16),))
    if octal is not None and int(octal, 8) < 256:
        return bytes((int(octal, 8),))
    if (digits := short or long) is not None:
        point = int(digits, 16)
        if point > 0x10FFFF or 0xD800 <= point < 0xE000:
            raise InvalidQuery(f"not PromQL: the escape {escape[0]} is no character")
        return chr(point).encode()
    if other == quotation:
        return quotation.encode()
    if other in _PLAIN:
        return bytes((_PLAIN[other],))
    raise InvalidQuery(f"not PromQL: unknown escape sequence {escape[0]} in a string; write a backslash as two")


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or f"\\x{ord(character) & 0xFF:02x}"
