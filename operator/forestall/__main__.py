"""The entry point: it wires adapters into commands. Imports are late, so that `--help` is quick."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from forestall.cli.app import main as command
from forestall.cli.wiring import ClusterOptions, DemoOptions, PrometheusOptions, RunOptions, Session, Wiring
from forestall.errors import MissingTool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from forestall.ports import Metrics

COMMAND_MANAGER = "forestall-cli"
"""The field manager of commands."""
HISTORY_BUDGET, HISTORY_TIMEOUT = 120.0, 60.0
"""The time limits (s) for a part of a history, and for one request: ranges are long, and no cycle waits for them."""


@asynccontextmanager
async def _connect(options: ClusterOptions) -> AsyncIterator[Session]:
    from forestall.adapters import kubernetes  # noqa: PLC0415

    access = await kubernetes.Access.find(str(options.kubeconfig or ""), options.context)
    async with kubernetes.Api(access) as api:
        # Commands record no Events, so the recorder is never started.
        cluster = kubernetes.KubernetesCluster(
            api, kubernetes.Recorder(api, "cli"), access.namespace, manager=COMMAND_MANAGER
        )
        yield Session(cluster, access.namespace, access.configuration.host)


def _run(options: RunOptions) -> int:
    from forestall.process import run  # noqa: PLC0415

    return run(options)


def _demo(options: DemoOptions) -> int:
    try:
        from forestall.demo.runner import run_demo  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise MissingTool(
            f"the demo is not part of this installation ({missing.name} is not there), as of the image: "
            "run `make demo` in a checkout of the project"
        ) from missing

    return run_demo(
        options.scenario,
        cluster=options.cluster,
        keep=options.keep,
        picture=options.picture,
        as_json=options.as_json,
    )


@asynccontextmanager
async def _prometheus(options: PrometheusOptions) -> AsyncIterator[Metrics]:
    from forestall.adapters.http import BearerToken, Endpoint, TlsSettings  # noqa: PLC0415
    from forestall.adapters.prometheus import PrometheusMetrics, SourceConfig  # noqa: PLC0415

    metrics = PrometheusMetrics(budget=HISTORY_BUDGET)
    endpoint = replace(
        Endpoint.of_url(options.url),
        headers=options.headers,
        tls=TlsSettings(options.ca_pem),
        timeout=HISTORY_TIMEOUT,
    )
    if options.token is not None:
        endpoint = replace(endpoint, credentials=BearerToken(options.token))
    metrics.set_sources(dict.fromkeys(options.sources, SourceConfig(endpoint)))
    try:
        yield metrics
    finally:
        await metrics.close()


def main() -> None:
    """Run the command of the process's arguments."""
    sys.exit(command(Wiring(connect=_connect, run=_run, demo=_demo, prometheus=_prometheus)))


if __name__ == "__main__":
    main()
