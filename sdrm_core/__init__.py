"""The method as a plain library: data, model, quality and privacy, with no orchestrator in sight."""

__version__ = "0.1.0"
