"""What a run shows in Prefect's pages beside its log; nothing hangs on it."""

from prefect.artifacts import create_markdown_artifact

from tasks.stage import LOG


def show(key: str, markdown: str, *, description: str) -> None:
    """Put a page among the run's artifacts; where Prefect's server cannot take it, the log says so and work goes on."""
    try:
        create_markdown_artifact(key=key, markdown=markdown, description=description)
    except Exception as error:  # noqa: BLE001 - whatever Prefect's server said
        LOG.warning("%s could not be shown in Prefect's pages (%s)", key, error)
