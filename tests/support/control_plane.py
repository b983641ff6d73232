"""How the control planes of the tests differ from those that people use."""

from typing import Final

QUICK_AUTOSCALERS: Final = {"kube-controller-manager": {"horizontal-pod-autoscaler-sync-period": "1s"}}
"""Arguments of the servers: HorizontalPodAutoscalers look each second, and not each 15 s."""
