"""A running cluster, and what a person does to one: kubectl, helm, a kubeconfig for a ServiceAccount."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forestall.devcluster.processes import run
from forestall.devcluster.programs import Programs


class RunningCluster:
    """A cluster that answers, reached with full rights by a kubeconfig file.

    What kubectl and helm keep for themselves goes into `folder`, so that the user's own settings of both neither
    change anything here nor are changed.
    """

    def __init__(self, kubeconfig: Path, programs: Programs, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self._programs = programs
        self._folder = folder

    def kubectl(
        self, *arguments: str | Path, stdin: str | None = None, check: bool = True, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return what it printed; raises CommandFailed with its last words when it fails."""
        command = [self._programs["kubectl"], *arguments]
        return run(command, stdin=stdin, env=self.environment, timeout_s=timeout_s, check=check)

    def helm(
        self, *arguments: str | Path, check: bool = True, timeout_s: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run helm and return what it printed; raises CommandFailed with its last words when it fails."""
        return run([self._programs["helm"], *arguments], env=self.environment, timeout_s=timeout_s, check=check)

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables under which kubectl, helm and forestall work on this cluster."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self._folder / "kubectl"),
            "KUBERC": "off",
            "HELM_CACHE_HOME": str(self._folder / "helm" / "cache"),
            "HELM_CONFIG_HOME": str(self._folder / "helm" / "config"),
            "HELM_DATA_HOME": str(self._folder / "helm" / "data"),
        }

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        """Return an object; raises CommandFailed when there is none."""
        body: dict[str, Any] = json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json").stdout)
        return body

    def items(self, kinds: str, namespace: str = "default", *options: str) -> list[dict[str, Any]]:
        """Return the objects of some kinds, such as `pods` or `jobs,pods`; `options` are those of `kubectl get`.

        Raises CommandFailed where there is no such kind.
        """
        answer = self.kubectl("get", kinds, "-n", namespace, *options, "-o", "json")
        return list(json.loads(answer.stdout)["items"])

    def apply(self, *objects: Mapping[str, Any], namespace: str = "default") -> None:
        """Create or change objects as `kubectl apply` does; raises CommandFailed with the server's words if refused.

        Not by server-side apply: what somebody applies that way, forestall leaves to them.
        """
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "-n", namespace, "-f", "-", stdin=manifest)

    def kubeconfig_for(self, namespace: str, service_account: str, *, valid: str = "12h") -> Path:
        """Return a kubeconfig file that acts with the rights of a ServiceAccount, and no more."""
        token = self.kubectl("create", "token", service_account, "-n", namespace, f"--duration={valid}").stdout.strip()
        view = json.loads(self.kubectl("config", "view", "--raw", "--flatten", "--minify", "-o", "json").stdout)
        name = f"{namespace}-{service_account}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": view["clusters"][0]["cluster"]}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            "current-context": name,
        }
        path = self._folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path
