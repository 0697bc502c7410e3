"""The command ``sdrm``. Results go to standard output, everything else to standard error."""

import atexit
import errno
import json
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from sdrm_core.config import PipelineConfig, Resolution, local_directory, with_home
from sdrm_core.config.file import load_config
from sdrm_core.errors import ConfigError, DataError, GateFailed, SdrmError, noted, raise_all

UNUSABLE = 4
EXIT_CODES: tuple[tuple[type[Exception], int], ...] = (
    (GateFailed, 3),
    (DataError, UNUSABLE),
    (PermissionError, UNUSABLE),
    (ConfigError, 2),
)
INTERRUPTED = 130
_TAKEN_UP = "sdrm: interrupted; the same command, run again, reuses what is finished"
DEBUG = "--debug"
_NO_MEMORY = ("allocate memory", "out of memory")  # in PyTorch's messages, on the CPU and on a GPU
_ELSEWHERE = "other directories (--out, paths.work, paths.releases, paths.cache)"
_NO_SPACE = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))  # also in errors that are no OSError
COMPARED_ARMS = "popularity,vae_prior,published,sdrm_full,sdrm_multi,sdrm_full@10"
_YEAR = 365 * 24 * 60.0  # minutes
SHIPPED = Path(__file__).resolve().parent.parent / "deployments"

app = typer.Typer(
    help="Make synthetic user-item interactions that can be shared without exposing the real users.",
    epilog="With --debug anywhere on the command line, an error shows its traceback.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _checked_by(check: Callable[[Any], Any]) -> Callable[[typer.CallbackParam, Any], Any]:
    """Return a callback that returns an option as ``check`` does, and reports its ``ValueError`` with the option."""

    def checked(option: typer.CallbackParam, given: Any) -> Any:
        try:
            return given and check(given)
        except ValueError as error:
            raise ConfigError(f"--{option.name}: {error}") from None

    return checked


_directory = partial(typer.Option, metavar="DIR", callback=_checked_by(lambda path: local_directory(path).expanduser()))
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Configuration file.")]
OptionalConfigFile = Annotated[
    Path | None,
    typer.Argument(metavar="CONFIG.yaml", help="Configuration file; without it, all settings are defaults."),
]
Source = Annotated[
    str | None,
    typer.Option(metavar="URI", callback=_checked_by(with_home), help="File, directory or named data set to read."),
]
Releases = Annotated[Path | None, _directory(help="Directory in which releases are published.")]
Work = Annotated[Path | None, _directory(help="Directory in which working directories are kept.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers of the run.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting, e.g. vae.max_epochs=50; may be repeated."),
]


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
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the server and its web pages.")] = 4200,
    cron: Annotated[str, typer.Option(help="When to run, as a cron expression.")] = "0 2 * * *",
    timezone: Annotated[str, typer.Option(help="Time zone of the schedule.")] = "UTC",
    overrides: Overrides = None,
) -> None:
    """Start a local Prefect server with its web pages, and run the pipeline on a schedule, until interrupted."""
    from flows.serve import nightly_schedule, serve_nightly

    errors: list[SdrmError] = []
    with noted(errors):
        configured = _configured(config, overrides=overrides)
    with noted(errors):
        schedule = nightly_schedule(cron, timezone=timezone)
    raise_all(errors)
    serve_nightly(configured, port=port, schedule=schedule)


@app.command()
def sample(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="RELEASE_OR_MODEL", help="A release, a data set's folder of releases, or a run's model."
        ),
    ],
    users: Annotated[int, typer.Option(min=1, help="Number of synthetic users.")],
    out: Annotated[Path, _directory(help="A new directory for the result.")],
    resolution: Annotated[
        Resolution, typer.Option(help="All steps of the diffusion for each user, or a random number.")
    ] = "full",
    seed: Annotated[int, typer.Option(min=0, help="A different seed gives different users.")] = 0,
    work: Work = None,
) -> None:
    """Draw more users from a trained model. No gate checks these users: they are not a release."""
    _keep_prefect_quiet()
    from flows.console import progress_shown
    from tasks.more import sample_more

    with progress_shown():
        made = sample_more(model, users=users, out=out, resolution=resolution, seed=seed, work=work)
    typer.echo(made)


@app.command()
def compare(
    out: Annotated[Path, _directory(help="Directory for all results; a second call continues there.")],
    config: OptionalConfigFile = None,
    source: Source = None,
    arms: Annotated[
        str, typer.Option(help="Generators to compare; arm@10 makes ten times as many users.")
    ] = COMPARED_ARMS,
    judges: Annotated[str, typer.Option(help="Recommenders that are trained on the users.")] = "popularity,svd,ease",
    seeds: Annotated[str, typer.Option(help="Seeds of training and sampling.")] = "0,1,2",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Pieces of work at the same time; default: one for every two cores.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Compare generators (arms) by all judges and seeds; the last line of standard output is the table's path."""
    from tasks.compare.plan import Comparison, parse_arms, parse_judges, parse_seeds
    from tasks.source import require_files

    errors: list[SdrmError] = []
    with noted(errors):
        configured = _configured(config, source=source, overrides=overrides)
    with noted(errors):
        chosen_arms = parse_arms(arms)
    with noted(errors):
        chosen_judges = parse_judges(judges)
    with noted(errors):
        chosen_seeds = parse_seeds(seeds)
    raise_all(errors)
    require_files(configured.source)
    command = shlex.join(["sdrm", *(argument for argument in sys.argv[1:] if argument != DEBUG)])
    comparison = Comparison(
        config=configured, arms=chosen_arms, judges=chosen_judges, seeds=chosen_seeds, out=out, command=command
    )
    wait = _connect()
    from flows.compare import default_workers, run_comparison
    from flows.console import progress_shown

    wait()
    with progress_shown():
        compared = run_comparison(comparison, workers=workers or default_workers())
    typer.echo(compared.markdown)


@app.command()
def tune(
    out: Annotated[Path, _directory(help="Directory of the search; a second call continues there.")],
    config: OptionalConfigFile = None,
    source: Source = None,
    minutes: Annotated[
        float, typer.Option(min=0, max=_YEAR, help="Time for trials in this call; at least one is made.")
    ] = 30,
    overrides: Overrides = None,
) -> None:
    """Search for better settings, using validation users; the last line of standard output is their file's path."""
    from tasks.source import require_files

    configured = _configured(config, source=source, overrides=overrides)
    require_files(configured.source)
    wait = _connect()
    from flows.console import progress_shown
    from flows.tune import tune as tune_flow
    from tasks.tune.stages import Tuning

    wait()
    with progress_shown():
        tuned = tune_flow(Tuning(config=configured, minutes=minutes, out=out))
    typer.echo(f"{tuned.summary}\n{tuned.config}")


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A release, a sample, a model folder or a run's folder in paths.work.")],
) -> None:
    """Show what a release, sample, model or run's folder contains, and whether its data or model is unchanged."""
    from tasks.describe import describe

    typer.echo(describe(path))


def _configured(path: Path | None, *, overrides: list[str] | None, **options: Any) -> PipelineConfig:
    """Read the configuration; the options replace its settings, and the ``--set`` settings replace both."""
    dotted = {"source": "source.uri", "releases": "paths.releases", "work": "paths.work", "seed": "seed"}
    given = [
        f"{dotted[name]}={json.dumps(value, default=str, ensure_ascii=False)}"  # YAML cannot read surrogate pairs
        for name, value in options.items()
        if value is not None
    ]
    return load_config(path, [*given, *(overrides or [])])


def _regenerate(config: PipelineConfig) -> None:
    _require_source(config)
    wait = _connect()
    from flows.console import progress_shown
    from flows.regenerate import regenerate
    from tasks.gates.evaluation import preload

    preload()  # while the server starts
    wait()
    with progress_shown():
        release = regenerate(config)
    typer.echo(release.path)


def _require_source(config: PipelineConfig) -> None:
    """Check at once that the source's files exist; the flow would do so many seconds later. Journal a failure."""
    from flows.journal import journal
    from tasks.source import require_files

    try:
        require_files(config.source)
    except DataError:
        with journal(config):
            raise


def _connect() -> Callable[[], None]:
    """Find or start a Prefect server; return a function that waits for it, so that the caller can import meanwhile."""
    _keep_prefect_quiet()
    from flows.server import connect

    return connect()


def _keep_prefect_quiet() -> None:
    """Keep Prefect's own messages off the console: a command shows its log, and reports an error once, as a sentence.

    It must be called before Prefect is imported.
    """
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def main() -> None:
    """Run the command line; report errors as sentences on standard error, and set the exit code."""
    signal.signal(signal.SIGTERM, _say_and_end)
    atexit.register(_drop_unwritten)
    debug = DEBUG in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != DEBUG]
    try:
        app(arguments)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _tell(_TAKEN_UP)
        raise
    except Exception as error:  # noqa: BLE001 - every error is reported, with its exit code
        _tell(traceback.format_exc() if debug else f"sdrm: {_sentence(error)}")
        otherwise = UNUSABLE if _is_of_a_full_disk(error) else 1
        sys.exit(next((code for kind, code in EXIT_CODES if isinstance(error, kind)), otherwise))


def _tell(text: str) -> None:
    """Write to standard error; if it takes nothing, e.g. on a full disk, only the exit code remains."""
    with suppress(OSError):
        typer.echo(text, file=sys.stderr)


def _drop_unwritten() -> None:
    """Drop what standard error does not take; otherwise Python would try again and end with exit code 120."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _say_and_end(number: int, _: FrameType | None) -> None:
    """Print a hint, then end by the signal as without this handler. In a flow, Prefect's handler runs first."""
    os.write(2, f"{_TAKEN_UP}\n".encode())  # not through a stream: it may be in the middle of a write
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _is_of_a_full_disk(error: Exception) -> bool:
    return any(said in str(error) for said in _NO_SPACE)


def _sentence(error: Exception) -> str:
    import httpx

    from tasks.records import JOURNAL

    if isinstance(error, SdrmError):
        return str(error)
    if isinstance(error, PermissionError) and error.filename:
        remedy = f"Give the user that runs the command access, or choose {_ELSEWHERE}"
        return f"{error.filename}: no permission. {remedy}"
    if _is_of_a_full_disk(error):
        remedy = f"Free some space, or choose {_ELSEWHERE}"
        return f"there is no space left on a disk ({error}). {remedy}"
    if isinstance(error, MemoryError) or any(said in str(error) for said in _NO_MEMORY):
        remedy = "Lower vae.latent_dim, vae.hidden_units or sampling.users, or use a machine with more memory"
        return f"there is not enough memory ({error}). {remedy}"
    if isinstance(error, httpx.TransportError):  # a source's would be a DataError
        remedy = f"After sdrm run, see the last line of {JOURNAL} in paths.work: if no night was published, run again"
        return f"Prefect's server no longer answers ({error}). {remedy}"
    return f"unexpected {type(error).__name__}: {error}. Run again with {DEBUG} for the traceback"


if __name__ == "__main__":
    main()
