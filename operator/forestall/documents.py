"""Objects in YAML or JSON files: read as kubectl reads them, each field with its line.

A text that looks like a time stays a text, as in JSON. What YAML would pass over in silence, a key that is there twice,
is refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import yaml

from forestall.api import GROUP
from forestall.api.findings import Finding
from forestall.api.findings import Path as FieldPath
from forestall.api.schema import check
from forestall.errors import InvalidInput

STDIN: Final = Path("-")
_TOLD: Final = 5
"""The most faults of a file in one message."""


class _Loader(yaml.SafeLoader):
    """Reads what JSON has."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """One of forestall's objects, and its place in a file."""

    body: Mapping[str, Any]
    file: str
    number: int
    """The number of the document in the file, from 1."""
    lines: Mapping[FieldPath, int]
    """The line of each of its fields, from 1."""

    @property
    def title(self) -> str:
        """Kind and name, such as `ServiceLevelObjective checkout`."""
        metadata = self.body.get("metadata")
        name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
        return f"{self.body.get('kind')} {name}".strip()

    def line(self, path: FieldPath) -> int:
        """Return the line of a field; for an absent field, that of its parent."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def location(self, path: FieldPath = ()) -> str:
        """Return the location of a field: `slo.yaml:12: ServiceLevelObjective checkout`."""
        return f"{self.file}:{self.line(path)}: {self.title}"

    def finding_text(self, finding: Finding) -> str:
        """Return a finding with its location."""
        return f"{self.location(finding.path)}: {finding}"


def read(paths: Iterable[Path], stdin: TextIO | None = None) -> list[Document]:
    """Return forestall's objects in files, in the files of folders, and for the path `-` in `stdin`.

    Raises:
        InvalidInput: a file can't be read, or is not YAML.
    """
    return [document for path in paths for file, text in _texts(path, stdin) for document in _documents(file, text)]


def refuse_faults(documents: Iterable[Document]) -> None:
    """Check the objects against their definitions.

    Raises:
        InvalidInput: one does not fit; the message says where, and what to write.
    """
    faults = [document.finding_text(finding) for document in documents for finding in check(document.body)]
    if faults:
        suffix = f"; and {len(faults) - _TOLD} more: `forestall validate -f` lists them" if len(faults) > _TOLD else ""
        raise InvalidInput("; ".join(faults[:_TOLD]) + suffix)


def _texts(path: Path, stdin: TextIO | None) -> Iterator[tuple[str, str]]:
    if path == STDIN and stdin is not None:
        yield "stdin", stdin.read()
        return
    for file in _files(path):
        try:
            yield str(file), file.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{file} can't be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for ending in ("yaml", "yml", "json") for file in path.glob(f"*.{ending}"))
    if not files:
        raise InvalidInput(f"there is no *.yaml file in {path}")
    return files


def _documents(file: str, text: str) -> Iterator[Document]:
    try:
        for number, node in enumerate(yaml.compose_all(text, _Loader), 1):
            if node is not None:
                yield from _objects(file, number, node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{file} is not YAML: {' '.join(str(error).split())}") from error


def _objects(file: str, number: int, node: yaml.Node) -> Iterator[Document]:
    """Yield forestall's objects in one document: itself, or the items of a list."""
    lines: dict[FieldPath, int] = {}
    _note(node, (), lines, file)
    loader = _Loader("")
    try:
        body = loader.construct_document(node)
    finally:
        loader.dispose()
    if not isinstance(body, Mapping):
        return
    if _is_ours(body):
        yield Document(body, file, number, lines)
    items = body.get("items") if str(body.get("kind", "")).endswith("List") else None
    if not isinstance(items, list):
        return
    lines_by_path: dict[str | int, dict[FieldPath, int]] = defaultdict(dict)
    for path, line in lines.items():
        if len(path) > 1 and path[0] == "items":
            lines_by_path[path[1]][path[2:]] = line
    for index, item in enumerate(items):
        if isinstance(item, Mapping) and _is_ours(item):
            yield Document(item, file, number, lines_by_path[index])


def _is_ours(body: Mapping[str, Any]) -> bool:
    """Return whether it is one of forestall's objects, of any version and kind."""
    return str(body.get("apiVersion", "")).partition("/")[0] == GROUP and not str(body.get("kind", "")).endswith("List")


def _note(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int], file: str) -> None:
    """Collect the lines of all fields below a node."""
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in keys and key.tag != "tag:yaml.org,2002:merge":
                raise InvalidInput(f"{file}:{line}: {name!r} is there twice: the first would be lost")
            keys.add(name)
            lines[*path, name] = line
            _note(value, (*path, name), lines, file)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _note(value, (*path, index), lines, file)
