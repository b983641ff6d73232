"""A cluster of one's own: its programs, a control plane with KWOK or kind, and a Prometheus beside it."""
