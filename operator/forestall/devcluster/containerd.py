"""How containerd and the network of its pods are set up on a real node."""

import json
from typing import Final

from forestall.devcluster.node_packages import PLUGIN_FOLDERS

SOCKET: Final = "/run/containerd/containerd.sock"
PAUSE_IMAGE: Final = "forestall.test/pause:1"
_UNUSED: Final = (
    *(f"io.containerd.snapshotter.v1.{name}" for name in ("btrfs", "zfs", "devmapper", "blockfile", "erofs")),
    "io.containerd.nri.v1.nri",
    "io.containerd.tracing.processor.v1.otlp",
    "io.containerd.internal.v1.tracing",
)
# Without CAP_SYS_RESOURCE nobody may lower an OOM score: it is left as it is.
_CONFIGURATION: Final = f"""version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = {json.dumps(_UNUSED)}
[grpc]
  address = "{SOCKET}"
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "overlayfs"
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd]
    default_runtime_name = "runc"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = {json.dumps(PLUGIN_FOLDERS)}
    conf_dir = "/etc/cni/net.d"
"""


def containerd_files(pod_range: str) -> dict[str, str]:
    """Return the files of a node whose pods get addresses from `pod_range`, by path in its root."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-ipam",
            "ranges": [[{"subnet": pod_range}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    network = {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}
    return {
        "etc/containerd/config.toml": _CONFIGURATION,
        "etc/cni/net.d/10-bridge.conflist": json.dumps(network),
    }
