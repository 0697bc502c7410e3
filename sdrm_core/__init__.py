"""The method as a library: data, model, quality and privacy. It does not depend on Prefect."""

__version__ = "0.1.0"
