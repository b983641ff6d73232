"""forestall keeps Kubernetes workloads inside their service level objectives by acting before the breach."""

__version__ = "0.1.0"
