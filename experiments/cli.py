"""The ``rankfloor`` command."""
