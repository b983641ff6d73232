"""The demo: a control plane, a shop with traffic, and a run without the operator beside a run with it."""
