"""Two real nodes with real pods, started once for all tests of this tier; skipped, with the reason, without root."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.support.audit import AuditLog
from tests.support.operator_pods import OPERATOR_NAMESPACE, operator_pods, roll_out
from tests.support.scaling import Load, deployment, metric_source, scaling_objects

from forestall import __version__
from forestall.devcluster.image_archive import write_image
from forestall.devcluster.node_packages import find_packages, unpacked
from forestall.devcluster.node_requirements import lacking
from forestall.devcluster.nodes import RealNodes
from forestall.devcluster.programs import Programs
from forestall.devcluster.prometheus import PrometheusServer
from forestall.devcluster.provider import local_programs
from forestall.errors import MissingTool

BUSYBOX = "forestall.test/busybox:1"
SETTINGS = [
    "--set=image.repository=localhost/forestall",
    f"--set=image.tag={__version__}",
    "--set=operator.interval=2s",
    "--set=workloads.clusterWide=true",
    "--set=workloads.keda=true",
    "--set=nodes.enabled=true",
    "--set=nodes.drain=true",
    "--set=priorityClassName=system-cluster-critical",
]
"""The image's name as it is made, a cycle that suits a test, the rights to change workloads and nodes, and a priority
with which no kubelet evicts it."""


@pytest.fixture(scope="session")
def node_programs() -> Programs:
    """The programs of control plane and nodes; the first time on a machine they are built."""
    if missing := lacking(Path(tempfile.gettempdir()), 2):
        pytest.skip(f"real nodes cannot run here; the machine lacks {'; '.join(missing)}")
    try:
        find_packages()
        return local_programs(purpose="nodes")
    except MissingTool as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive of an image with the distribution's BusyBox and nothing else."""
    (program,) = unpacked(["busybox-static"]).rglob("busybox")
    archive = tmp_path_factory.mktemp("images") / "busybox.tar"
    return write_image(archive, BUSYBOX, {"/bin/busybox": program, "/bin/sh": program}, ["/bin/busybox"])


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> AuditLog:
    """What the API server of the cluster `nodes` records."""
    return AuditLog(tmp_path_factory.mktemp("audit"))


@pytest.fixture(scope="session")
def nodes(node_programs: Programs, busybox: Path, audit: AuditLog) -> Iterator[RealNodes]:
    """A cluster with two real nodes that have the image BUSYBOX."""
    with RealNodes(node_programs, nodes=2, arguments={"kube-apiserver": audit.arguments}) as cluster:
        cluster.import_image(busybox)
        yield cluster


@pytest.fixture(scope="session")
def prometheus(nodes: RealNodes, node_programs: Programs) -> Iterator[PrometheusServer]:
    """A Prometheus that scrapes the kubelets as it comes: their timestamps are kept, their staleness is not tracked."""
    # A kubelet of a busy machine may need more than a second.
    settings = {"scrape_interval": "3s", "scrape_timeout": "3s"}
    jobs = [nodes.kubelet_job(metrics, **settings) for metrics in ("cadvisor", "resource")]
    with PrometheusServer(nodes.workspace, node_programs, scrape_configs=jobs, network=nodes.network) as server:
        yield server


@pytest.fixture(scope="session")
def images(nodes: RealNodes, root: Path) -> RealNodes:
    """The cluster, whose nodes have the images of this checkout: the operator's and the shop's."""
    archives = [root / "build" / f"{name}-image.tar" for name in ("forestall", "shop")]
    if missing := [archive.name for archive in archives if not archive.exists()]:
        pytest.skip(f"`make image` has not made {' and '.join(missing)} in build/")
    for archive in archives:
        nodes.import_image(archive)
    return nodes


@pytest.fixture(scope="session")
def installed_pods(images: RealNodes, root: Path) -> list[dict[str, Any]]:
    """The operator's pods, as they are when the chart has just been installed from the image, under the enforced
    `restricted` standard.
    """
    images.kubectl("create", "namespace", OPERATOR_NAMESPACE)
    images.kubectl("label", "namespace", OPERATOR_NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    images.helm("install", "forestall", root / "charts" / "forestall", "-n", OPERATOR_NAMESPACE, *SETTINGS)
    roll_out(images)
    return operator_pods(images)


@pytest.fixture(scope="session")
def operator(images: RealNodes, installed_pods: list[dict[str, Any]]) -> RealNodes:
    """The cluster with the operator."""
    assert installed_pods
    return images


@pytest.fixture
def namespace(nodes: RealNodes, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace that nobody else uses, and that goes after the test with all that is in it."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].strip('-')}-{uuid4().hex[:6]}"
    nodes.kubectl("create", "namespace", name)
    nodes.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=180s")
    yield name
    nodes.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def load(operator: RealNodes, prometheus: PrometheusServer, namespace: str) -> Iterator[Load]:
    """A calm load on the Deployment ``app``, which the operator watches, and scales from two to three when it rises."""
    operator.apply(metric_source(namespace, prometheus.pod_url))
    operator.apply(deployment("app", BUSYBOX), namespace=namespace)
    operator.kubectl("rollout", "status", "deployment/app", "-n", namespace, "--timeout=300s", timeout_s=310)
    with Load(prometheus, namespace).live() as load:
        operator.apply(*scaling_objects(namespace, namespace), namespace=namespace)
        yield load
    operator.kubectl("delete", "metricsource", namespace, "--wait=false")
