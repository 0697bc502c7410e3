"""Show Markdown pages in Prefect's web interface; no result depends on them."""

from prefect.artifacts import create_markdown_artifact

from tasks.stage import LOG


def show(key: str, markdown: str, *, description: str) -> None:
    """Create a Markdown artifact of the run in Prefect; if this fails, log a warning and continue."""
    try:
        create_markdown_artifact(key=key, markdown=markdown, description=description)
    except Exception as error:  # noqa: BLE001 - whatever Prefect's server said
        LOG.warning("%s could not be shown in Prefect's pages (%s)", key, error)
