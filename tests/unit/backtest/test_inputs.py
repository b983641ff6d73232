"""Manifests, and the assignment of measurements to indicators."""

from typing import get_args

import numpy as np
import pytest

from forestall.api import Guardrail, MetricSource, RemediationPolicy, ServiceLevelObjective
from forestall.api.guardrail import ActionName
from forestall.backtest.bind import bind, queried_objectives
from forestall.engine.indicator_queries import LONG, WHOLE
from forestall.errors import InvalidInput
from forestall.inputs import manifests
from forestall.inputs.tables import Column
from forestall.ports import RangeSeries


def registry(*bodies):
    return manifests.build_registry([manifests.Manifest(body, "here") for body in bodies], "default", 90)


def column(indicator, *values, objective="", labels=(), start=0.0):
    times = tuple(start + 60.0 * n for n in range(len(values)))
    return Column(
        objective, indicator, (RangeSeries(labels, times, tuple(map(float, values))),), f"a.csv, column {indicator}"
    )


def test_objects_are_read_from_folders_with_other_objects(write, tmp_path, objective, policy):
    write("a.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}, objective())
    write("b.yml", None, policy())
    objects = manifests.from_files([tmp_path])
    assert [manifest.body["kind"] for manifest in objects] == ["ServiceLevelObjective", "RemediationPolicy"]
    assert objects[0].location == f"{tmp_path / 'a.yaml'}: ServiceLevelObjective shop"
    assert manifests.metric_sources(objects) == ("default",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: [", "a.yaml is not YAML"),
        ("just text", "there is no ServiceLevelObjective"),
        (
            "apiVersion: forestall.dev/v1alpha1\nkind: ServiceLevelObjective\nspec: {}\n",
            "metadata.name: the name is",
        ),
        ("\x00", "is not YAML"),
    ],
)
def test_invalid_manifests_are_refused(write, text, message):
    with pytest.raises(InvalidInput, match=message):
        manifests.from_files([write("a.yaml", text)])


def test_a_file_or_folder_without_objects_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"no\.yaml can't be read: No such file"):
        manifests.from_files([tmp_path / "no.yaml"])
    with pytest.raises(InvalidInput, match=r"there is no \*\.yaml file in"):
        manifests.from_files([tmp_path])


def test_an_object_that_does_not_match_its_schema_is_refused_with_field_and_location(objective):
    with pytest.raises(InvalidInput, match=r"here: spec\.objective: Input should be less than 100"):
        registry(objective(objective=100))


def test_policies_observe_and_missing_objects_are_added(objective, policy):
    entries = registry(objective(source="lab"), policy(mode="Auto", suspend=True))
    (stored,) = entries.all(RemediationPolicy)
    assert (stored.spec.mode, stored.spec.suspend) == ("Observe", False)
    (slo,) = entries.all(ServiceLevelObjective)
    assert (slo.namespace, slo.uid) == ("default", "ServiceLevelObjective/default/shop")
    (source,) = entries.all(MetricSource)
    assert (source.name, source.spec.stale_after) == ("lab", "90s")
    assert entries.labels("default") is not None
    (guardrail,) = entries.all(Guardrail)
    assert guardrail.spec.allow[0].actions == list(get_args(ActionName))


def test_a_status_in_a_manifest_is_ignored(objective):
    body = objective() | {"status": {"state": "AtRisk", "episode": {"number": 7, "since": "2026-01-01T00:00:00Z"}}}
    (slo,) = registry(body).all(ServiceLevelObjective)
    assert slo.status.episode is None


def test_columns_belong_to_the_indicators_that_they_name(objective):
    objectives = queried_objectives(registry(objective(), objective("web")), 60)
    history, unused = bind(
        [column("busy", 1, 2), column("busy", 5, objective="web", start=600), column("cpu", 1)], objectives
    )
    shop, web = (f"ServiceLevelObjective/default/{name}" for name in ("shop", "web"))
    assert history.series[shop, "busy"][0].values == (1, 2)
    assert history.series[web, "busy"] == (RangeSeries((), (0, 60, 600), (1, 2, 5)),)
    assert unused == ("a.csv, column cpu",)


def test_a_column_without_a_name_belongs_to_the_only_indicator(objective):
    history, _ = bind([column("", 1, 2)], queried_objectives(registry(objective()), 60))
    assert list(history.series) == [("ServiceLevelObjective/default/shop", "busy")]
    with pytest.raises(InvalidInput, match=r"the indicators are shop: busy, sli; web: busy, sli"):
        bind([column("", 1, 2)], queried_objectives(registry(objective(), objective("web")), 60))


def test_the_error_ratio_is_averaged_over_the_windows_of_the_burn_rate(objective):
    ratio = np.zeros(180)
    ratio[60:120] = 1
    history, _ = bind([column("sli", *ratio)], queried_objectives(registry(objective(window="30d")), 60))
    uid = "ServiceLevelObjective/default/shop"
    short, long, window = (np.array(history.series[uid, name][0].values) for name in ("sli", LONG, WHOLE))
    assert short[[59, 60, 64, 119, 122]] == pytest.approx([0, 0.2, 1, 1, 0.4])  # 5 minutes
    assert long[[60, 89, 119, 149]] == pytest.approx([1 / 60, 0.5, 1, 0.5])  # 1 hour
    assert window[179] == pytest.approx(1 / 3)


def test_an_error_ratio_is_a_share(objective):
    with pytest.raises(
        InvalidInput, match=r"column sli: sli is the share of bad events: its values must be from 0 to 1"
    ):
        bind([column("sli", 0.5, 99.5)], queried_objectives(registry(objective()), 60))


def test_an_invalid_query_is_named(objective):
    leading = [{"name": "busy", "query": "sum(", "limit": 1}]
    with pytest.raises(InvalidInput, match=r"default/shop: spec\.leadingIndicators\[0\]\.query: not PromQL"):
        queried_objectives(registry(objective(leadingIndicators=leading)), 60)
