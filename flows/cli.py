"""The command ``sdrm``. Results go to standard output, everything else to standard error."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sdrm_core.config import PipelineConfig, Resolution, load_config
from sdrm_core.errors import ConfigError, DataError, GateFailed, SdrmError

EXIT_CODES: tuple[tuple[type[SdrmError], int], ...] = ((GateFailed, 3), (DataError, 4), (ConfigError, 2))
DEBUG = "--debug"
SHIPPED = Path(__file__).resolve().parent.parent / "deployments"

app = typer.Typer(
    help="Synthetic user-item interactions that can be handed out without handing out the users.",
    epilog="--debug, anywhere on the line, shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration file.")]
Source = Annotated[str | None, typer.Option(metavar="URI", help="File, directory or named data set to read.")]
Releases = Annotated[Path | None, typer.Option(metavar="DIR", help="Where releases are published.")]
Work = Annotated[Path | None, typer.Option(metavar="DIR", help="Where working directories are kept.")]
Seed = Annotated[int | None, typer.Option(min=0, help="The seed of the run.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a setting by its path.")]


@app.command()
def run(
    config: ConfigFile,
    source: Source = None,
    releases: Releases = None,
    work: Work = None,
    seed: Seed = None,
    overrides: Overrides = None,
) -> None:
    """Run the whole pipeline once; the last line of standard output is the release's path."""
    _regenerate(_configured(config, source=source, releases=releases, work=work, seed=seed, overrides=overrides))


@app.command()
def demo(
    releases: Releases = None,
    work: Work = None,
    seed: Seed = None,
    overrides: Overrides = None,
) -> None:
    """Run the whole pipeline once on the embedded data set."""
    _regenerate(_configured(SHIPPED / "demo.yaml", releases=releases, work=work, seed=seed, overrides=overrides))


@app.command()
def serve(
    config: ConfigFile,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server and its pages.")] = 4200,
    cron: Annotated[str, typer.Option(help="When to run, as a cron expression.")] = "0 2 * * *",
    timezone: Annotated[str, typer.Option(help="Time zone of the schedule.")] = "UTC",
    overrides: Overrides = None,
) -> None:
    """Start a local Prefect server with its pages, and the nightly schedule, until interrupted."""
    from flows.serve import serve_nightly

    serve_nightly(_configured(config, overrides=overrides), port=port, cron=cron, timezone=timezone)


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(metavar="RELEASE_OR_MODEL", help="A release, or a run's model folder.")],
    users: Annotated[int, typer.Option(min=1, help="How many synthetic users.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new directory for the result.")],
    resolution: Annotated[Resolution, typer.Option(help="Of the reverse process.")] = "full",
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other users.")] = 0,
    work: Work = None,
) -> None:
    """Draw more users from a trained model. They are measured by no gate: not a release."""
    from tasks.more import sample_more

    typer.echo(sample_more(model, users=users, out=out, resolution=resolution, seed=seed, work=work))


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A release, a model folder or a working directory.")],
) -> None:
    """Say what a release, a model or a working directory contains, and whether it is intact."""
    from tasks.describe import describe

    typer.echo(describe(path))


def _configured(path: Path, *, overrides: list[str] | None, **options: Any) -> PipelineConfig:
    """Read the configuration, with the options and then the ``--set`` settings on top."""
    dotted = {"source": "source.uri", "releases": "paths.releases", "work": "paths.work", "seed": "seed"}
    given = [f"{dotted[name]}={json.dumps(value, default=str)}" for name, value in options.items() if value is not None]
    return load_config(path, [*given, *(overrides or [])])


def _regenerate(config: PipelineConfig) -> None:
    # Prefect writes its own account of a failure to the console; the command says it once, as a sentence.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    from flows.server import connect

    wait = connect()
    from flows.console import progress_shown
    from flows.regenerate import regenerate
    from tasks.gates import preload

    preload()  # while the server starts
    wait()
    with progress_shown():
        release = regenerate(config)
    typer.echo(release.path)


def main() -> None:
    """Run the command line; turn errors into sentences and exit codes."""
    debug = DEBUG in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    try:
        app(arguments)
    except Exception as error:
        if debug:
            raise
        typer.echo(f"sdrm: {_sentence(error)}", file=sys.stderr)
        sys.exit(next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1))


def _sentence(error: Exception) -> str:
    if isinstance(error, SdrmError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}. Run again with {DEBUG} for the traceback"


if __name__ == "__main__":
    main()
