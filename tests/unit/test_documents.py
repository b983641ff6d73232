"""Objects in files, and where their faults are."""

import io
import json
from pathlib import Path

import pytest

from forestall.documents import STDIN, read, refuse_faults
from forestall.errors import InvalidInput

SLO = """\
apiVersion: forestall.dev/v1alpha1
kind: ServiceLevelObjective
metadata:
  name: checkout
spec:
  target: {name: checkout}
  objective: 99.5
  indicator:
    latency: {histogram: http_seconds, threshold: 300ms}
  leadingIndicators:
    - name: busy
      query: max(busy)
      limit: 0.8
"""


def write(folder: Path, text: str, name: str = "slo.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_misspelt_field_is_refused_with_its_line_and_the_one_that_was_meant(tmp_path):
    """Kind: a file in which a field is passed over."""
    path = write(tmp_path, f"# mine\nkind: ConfigMap\n---\n{SLO}      horizont: 30m\n")
    with pytest.raises(InvalidInput) as raised:
        refuse_faults(read([path]))
    assert str(raised.value) == (
        f"{path}:17: ServiceLevelObjective checkout: spec.leadingIndicators[0].horizont: unknown field. "
        "Did you mean horizon?"
    )


def test_a_missing_field_has_the_line_of_what_lacks_it(tmp_path):
    path = write(tmp_path, SLO.replace("      limit: 0.8\n", ""))
    with pytest.raises(InvalidInput, match=r"slo\.yaml:11: .*spec.leadingIndicators\[0\].limit: is missing"):
        refuse_faults(read([path]))


def test_a_key_that_is_there_twice_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"slo\.yaml:14: 'limit' is there twice"):
        read([write(tmp_path, f"{SLO}      limit: 0.9\n")])


def test_lists_json_folders_and_stdin(tmp_path):
    body = read([write(tmp_path, SLO)])[0].body
    write(tmp_path, json.dumps({"apiVersion": "v1", "kind": "List", "items": [{"kind": "Pod"}, body]}), "list.json")
    documents = read([tmp_path, STDIN], io.StringIO(SLO))
    assert [document.body for document in documents] == [body] * 3
    assert {Path(document.file).name for document in documents} == {"slo.yaml", "list.json", "stdin"}


def test_what_looks_like_a_time_stays_a_text(tmp_path):
    text = "apiVersion: forestall.dev/v1alpha1\nkind: Pause\nmetadata: {name: a}\nspec: {until: 2026-01-31T18:00:00Z}\n"
    refuse_faults(read([write(tmp_path, text)]))


def test_every_example_of_the_repository_is_right():
    root = Path(__file__).parents[2]
    documents = read(path for folder in ("examples", "docs") for path in sorted((root / folder).rglob("*.yaml")))
    assert documents
    refuse_faults(documents)
