"""The simulator: modeled services in simulated time, scaled by the operator's engine or by other controllers."""
