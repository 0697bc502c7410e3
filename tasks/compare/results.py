"""The last stage of a comparison: write the table, as Parquet and as Markdown, and the plots."""

from sdrm_core.storage import write_text
from tasks.compare.markdown import comparison_markdown
from tasks.compare.plan import Compared, Job
from tasks.compare.plots import plot_comparison
from tasks.compare.table import table_rows, write_table
from tasks.stage import Meter, stage


@stage("compare results")
def write_results(job: Job) -> Compared:
    """Collect the results of all cells into ``table.parquet``, ``table.md`` and the plots."""
    out = job.comparison.out
    with Meter("table and plots"):
        rows = table_rows(job)
        table = write_table(out / "table.parquet", rows)
        plots = plot_comparison(job, rows)
        markdown = write_text(out / "table.md", comparison_markdown(job, rows))
    return Compared(markdown=markdown.path, table=table.path, plots=plots)
