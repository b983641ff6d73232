"""The domain: pure functions and data. No await, clock, log, HTTP or Kubernetes here; `now` is a parameter."""
