"""Files that people give to `backtest` and `simulate`: manifests, and tables of measurements."""
