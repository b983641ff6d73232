"""The disk of a real node, filled by a file of no pod: so the kubelet can't get rid of it."""

from typing import Final

from forestall.devcluster.node import Node

FILLED: Final = "/var/log/fill"
"""The file that fills the disk."""


def set_used(node: Node, share: float, filled: str = FILLED) -> None:
    """Make a file on the node so large that this share of its disk is used; a smaller share removes it."""
    folder = filled.rpartition("/")[0]
    size, used = (int(field) for field in node.run("df", "-k", "--output=size,used", folder).split()[-2:])
    missing = round(share * size) - used
    if missing < -0.1 * size:
        node.run("rm", "-f", filled)
    elif missing > 0:
        # What is allocated is used, and needs not be written.
        node.run(
            "sh",
            "-c",
            f"fallocate --offset $(stat -c %s {filled} 2>/dev/null || echo 0) -l {missing}KiB {filled} || true",
        )
