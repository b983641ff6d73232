"""Checks whether a metric's label may name the node that an action changes.

The author of a series, or of a query, chooses the values of its labels. So the node that a cause names is used only
where a pod of the objective's own target runs on it, or where a cluster admin has declared the label trusted in the
MetricSource and the query does not change it.
"""

import re
from typing import Final

from forestall.actions import NotApplicable
from forestall.actions.base import title
from forestall.actions.evict import belongs
from forestall.actions.pods import is_terminating
from forestall.actions.protection import controller
from forestall.api import MetricSource, ServiceLevelObjective
from forestall.api.remediation import ObjectRef
from forestall.core.promql.origin import keeps_labels
from forestall.core.risk import Signal
from forestall.core.untrusted import get_path
from forestall.engine.cause import NODE, POD
from forestall.errors import Forbidden, NotFound
from forestall.ports import Reader

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


async def node_distrust(
    cluster: Reader, slo: ServiceLevelObjective, source: MetricSource | None, cause: Signal, workload: ObjectRef
) -> NotApplicable | None:
    """Return why the node that the cause names must not be acted on; None where it may be, or none is named.

    Raises:
        ClusterError: the cluster could not be read.
    """
    name = cause.label(NODE)
    if name is None:
        return None
    if not _NAME.fullmatch(name):
        return NotApplicable("NodeUnknown", "what its label `node` says is not the name of a node")
    vouched = source is not None and NODE in source.spec.trusted_labels
    if vouched and keeps_labels(_query(slo, cause.indicator)):
        return None
    why = "the query may make that label itself" if vouched else "its MetricSource does not vouch for that label"
    try:
        if await _is_on(cluster, cause.label(POD), name, workload) or await _runs_on(cluster, name, workload):
            return None
    except Forbidden:
        message = f"whether a pod of {title(workload)} runs on node {name} can't be seen without the right to list pods"
    else:
        message = f"no pod of {title(workload)} runs on node {name}"
    return NotApplicable("NodeNotTrusted", f"{message}, which its label `node` names, and {why}")


def _query(slo: ServiceLevelObjective, indicator: str) -> str:
    # The service level indicator itself has no series for each node.
    return next((leading.query for leading in slo.spec.leading_indicators if leading.name == indicator), "absent")


async def _is_on(cluster: Reader, pod: str | None, node: str, workload: ObjectRef) -> bool:
    """Say whether the pod that the cause names belongs to the workload and runs on the node."""
    if pod is None or not _NAME.fullmatch(pod):
        return False
    try:
        body = await cluster.read(ObjectRef(api_version="v1", kind="Pod", namespace=workload.namespace, name=pod))
    except NotFound:
        return False
    is_running_on = get_path(body, "spec", "nodeName") == node and get_path(body, "status", "phase") == "Running"
    return is_running_on and not is_terminating(body) and await belongs(cluster, body, workload)


async def _runs_on(cluster: Reader, node: str, workload: ObjectRef) -> bool:
    """Say whether a pod of the workload runs on the node."""
    running = f"spec.nodeName={node},status.phase=Running"
    pods = await cluster.find("v1", "Pod", namespace=workload.namespace, field_selector=running)
    # Pods of one owner are alike: one of each is asked about.
    by_controller = {(controller(pod) or {}).get("uid"): pod for pod in pods if not is_terminating(pod)}
    for pod in by_controller.values():
        if await belongs(cluster, pod, workload):
            return True
    return False
