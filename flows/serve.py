"""``sdrm serve``: run the nightly schedule until interrupted, with a local Prefect server and its web pages."""

import asyncio
import os
import signal
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import typer
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.runner import Runner
from prefect.schedules import Cron, Schedule
from prefect.server.schemas.schedules import CronSchedule as ServerCronSchedule
from prefect.settings import get_current_settings
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.server import LocalServer, configured_api_url, require_reachable, without_password
from sdrm_core.config import PipelineConfig
from sdrm_core.errors import ConfigError
from sdrm_core.storage import private_directory


def serve_nightly(config: PipelineConfig, *, port: int, schedule: Schedule) -> None:
    """Serve the nightly schedule until interrupted, with a new local server unless a server is configured.

    Args:
        config: settings of each nightly run; relative paths start at the current directory.
        port: port of the local server; unused if a server is configured.
        schedule: when to run.

    Raises:
        ConfigError: the port cannot be used; or the configured server does not answer, or has a deployment of this name
            for workers.
        SdrmError: another process of this user serves the data set, or the local server does not start.
    """
    api_url = configured_api_url()
    with nullcontext() if api_url else LocalServer(port=port, pages=True) as server:
        from flows.regenerate import regenerate  # takes seconds, while the server starts
        from tasks.claims import exclusive_lock

        if server:
            server.use()
            server.wait()
        elif api_url:
            require_reachable(api_url)
        pages = server.url if server else api_url
        with exclusive_lock(private_directory(get_current_settings().home / deployment_name(config))):
            _require_free(f"{regenerate.name}/{deployment_name(config)}")
            told = f"Prefect: {without_password(str(pages))}\nSchedule: {schedule.cron} ({schedule.timezone})"
            typer.echo(f"{told}, until interrupted", err=True)
            rooted = _rooted(config)
            # A run imports first from the directory where it starts: a folder ``flows`` of the user must not be found.
            os.chdir(Path(__file__).resolve().parents[1])
            asyncio.run(_serve(regenerate, rooted, schedule))


def deployment_name(config: PipelineConfig) -> str:
    """Return the deployment name for a data set's nightly runs.

    It differs from the names in ``prefect.yaml``: a deployment of the same name would be replaced, and paused at the
    end.
    """
    return f"served-{config.dataset}"


def nightly_schedule(cron: str, *, timezone: str) -> Schedule:
    """Return the schedule of five cron fields in a time zone of the tz database.

    Raises:
        ConfigError: the cron expression, the time zone or both are invalid, or the expression has no next date.
    """
    problems: dict[str, str] = {}
    try:
        CronSchedule(cron=cron, timezone=timezone)
    except ValidationError as error:
        problems |= {str(one["loc"][0]): one["msg"].removeprefix("Value error, ") for one in error.errors()}
    if "cron" not in problems and not _has_next(cron):
        problems["cron"] = f"has no next date: the day is in none of the months (got {cron!r})"
    if len(cron.split()) != 5:  # Prefect accepts a sixth field for seconds, which makes no sense here
        problems["cron"] = f"needs five fields, minute hour day month weekday (got {cron!r})"
    if problems:
        raise ConfigError("\n".join(f"--{option}: {problem}" for option, problem in sorted(problems.items())))
    return Cron(cron, timezone=timezone)


def _has_next(cron: str) -> bool:
    """Return whether a valid cron expression has a next date; 31 February is valid, but never comes."""
    try:
        asyncio.run(ServerCronSchedule(cron=cron).get_dates(n=1))
    except ValueError:
        return False
    return True


def _require_free(name: str) -> None:
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):
        if pool := client.read_deployment_by_name(name).work_pool_name:
            raise ConfigError(
                f"PREFECT_API_URL: the server has a deployment {name} for the workers of {pool}, which would be "
                "replaced. Give that one another name, or unset PREFECT_API_URL to serve without that server"
            )


async def _serve(regenerate: Flow[..., Any], config: PipelineConfig, schedule: Schedule) -> None:
    """Wait for scheduled runs and run each in its own process, until SIGINT or SIGTERM."""
    deployment = await regenerate.ato_deployment(
        name=deployment_name(config),
        schedule=schedule,
        paused=False,
        parameters={"config": config.model_dump(mode="json")},
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        tags=["sdrm"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    runner = Runner(name=deployment_name(config))
    await runner.aadd_deployment(deployment)
    serving = asyncio.create_task(runner.start())
    await asyncio.sleep(0)  # lets it install its SIGTERM handler, which would not end a running run; ours replaces it
    interrupted = _interruption()
    await asyncio.wait({serving, interrupted}, return_when=asyncio.FIRST_COMPLETED)
    if runner.started:
        await runner.astop()  # ends a run in progress as Cancelled
    else:
        serving.cancel()  # still starting: no run to end, and it would not react to another signal
    with suppress(asyncio.CancelledError):
        await serving


def _interruption() -> asyncio.Task[Literal[True]]:
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return asyncio.create_task(event.wait())


def _rooted(config: PipelineConfig) -> PipelineConfig:
    """Make relative paths absolute, because each run has its own process, perhaps in another directory.

    Symbolic links are not resolved: they may point to another file every night.
    """
    from tasks.source import is_named_source

    paths = {name: Path(path).expanduser().absolute() for name, path in config.paths}
    source = Path(config.source.uri).expanduser()
    uri = config.source.uri if is_named_source(config.source) else str(source.absolute())
    return config.model_copy(
        update={
            "paths": config.paths.model_copy(update=paths),
            "source": config.source.model_copy(update={"uri": uri}),
        }
    )
