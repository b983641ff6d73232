"""The command line: what people use. `__main__` says what the commands are wired to."""
