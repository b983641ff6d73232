"""The simulator: modelled services with simulated time, under the engine itself and under what people use instead."""
