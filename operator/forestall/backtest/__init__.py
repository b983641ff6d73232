"""Would forestall have helped? The same engine as in the cluster on recorded history, and how right it would have been.

`prepare` brings objects and measurements together, `replay` runs the engine, `judge` compares with what came, and
`page`, `data` and `text` tell it.
"""
