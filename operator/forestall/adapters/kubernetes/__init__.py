"""The Kubernetes API, by the official asynchronous client."""

from forestall.adapters.kubernetes.access import Access
from forestall.adapters.kubernetes.api import Api
from forestall.adapters.kubernetes.cluster import KubernetesCluster
from forestall.adapters.kubernetes.events import Recorder
from forestall.adapters.kubernetes.lease import Elector, KubernetesLease, Timing

__all__ = ["Access", "Api", "Elector", "KubernetesCluster", "KubernetesLease", "Recorder", "Timing"]
