"""Backtests: replay recorded metrics through the operator's engine and score its forecasts against the outcomes.

`prepare` combines manifests and measurements, `replay` runs the engine, `evaluate` scores the forecasts, and `page`,
`json_report` and `terminal` present the result.
"""
