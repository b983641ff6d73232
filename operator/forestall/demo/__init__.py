"""The demonstration: a control plane, a shop with traffic, and the two runs side by side."""
