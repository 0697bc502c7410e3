"""Publish a release: write it completely into a temporary folder, rename this, and update ``latest.json`` last."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from sdrm_core.errors import ArtifactError
from sdrm_core.records import SourceFacts
from sdrm_core.storage import (
    DEAD_AFTER_SECONDS,
    checked,
    parse_json,
    read_json,
    read_user_items,
    sync,
    write_json,
    write_text,
)
from tasks.describe import privacy_in_words
from tasks.pages import show
from tasks.records import FileFacts, FittedModel, Measures, Release, Run, Samples, TrainedVae, UserItemMatrix
from tasks.release.history import LATEST, MANIFEST, release_at, releases_of
from tasks.release.interactions import write_interactions
from tasks.release.manifest import build_manifest
from tasks.release.report import render_card, render_report
from tasks.role_key import mark_of, role_secret
from tasks.sample import synthetic_user_ids
from tasks.stage import LOG, Meter, stage
from tasks.working_directory import ROLE_KEY_MARK

_STAGING = ".staging-"


@stage("publish")
def publish(
    run: Run,
    *,
    source: SourceFacts,
    matrix: UserItemMatrix,
    vae: TrainedVae,
    model: FittedModel,
    samples: Samples,
    measures: Measures,
) -> Release:
    """Write interactions, manifest, data card and report, and make them the data set's latest release."""
    with staging_beside(run) as staging:
        with Meter("publish") as meter:
            secret = role_secret(run.config.roles)
            item_ids = pq.read_table(checked(matrix.items)).column("item_id").combine_chunks()
            files = write_synthetic_users(run, samples, item_ids, folder=staging / "interactions")
            manifest = build_manifest(
                run,
                secret=secret,
                source=source,
                matrix=matrix,
                model=model,
                samples=samples,
                measures=measures,
                files=files,
                item_type=item_ids.type,
                created_at=datetime.now(UTC),
            )
            curves = {"vae": read_json(vae.curve), "diffusion": read_json(model.curve)}
            privacy = read_json(measures.privacy)
            card = render_card(manifest)
            write_json(staging / MANIFEST, manifest)
            write_text(staging / "README.md", card)
            n_validation = matrix.users_by_role["validation"]
            report = render_report(manifest, curves=curves, n_validation=n_validation, privacy=privacy)
            write_text(staging / "report.html", report)
        meter.save(run)
        # Before the release has its name: if this process is killed, later nights must still know the key.
        write_json(run.directory / ROLE_KEY_MARK, mark_of(secret))
        release = give_name(staging, run, manifest)
    # The release is published: from here on nothing may fail, because a retry of the stage would publish it again.
    if any(gate["verdict"] != "PASS" for gate in manifest["privacy"]["gates"].values()):
        LOG.warning("published; privacy gates %s", privacy_in_words(manifest["privacy"]))
    show("release", card, description=f"Release {release.version}")
    return release


def write_synthetic_users(run: Run, samples: Samples, item_ids: pa.Array, *, folder: Path) -> tuple[FileFacts, ...]:
    """Write the shards as Parquet with new user ids, which cannot be linked to those of another release."""
    shards = (read_user_items(shard)[0] for shard in samples.shards)
    return write_interactions(folder, shards, user_ids=synthetic_user_ids(run, samples), item_ids=item_ids)


@contextmanager
def staging_beside(run: Run) -> Iterator[Path]:
    """Yield an empty folder beside the releases, and remove it at the end if it was not renamed.

    Folders older than 24 hours, which killed runs left behind, are removed too.
    """
    for left in releases_of(run.config).glob(f"{_STAGING}*"):
        with suppress(FileNotFoundError):  # another run has just renamed it
            if time.time() - left.stat().st_mtime > DEAD_AFTER_SECONDS:  # a younger one may be another run's
                shutil.rmtree(left, ignore_errors=True)
    staging = releases_of(run.config) / f"{_STAGING}{uuid4().hex}"
    staging.mkdir(parents=True)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def give_name(staging: Path, run: Run, manifest: dict[str, object]) -> Release:
    """Rename the complete release to its version and write ``latest.json``; if that fails, undo the renaming.

    If another run has published the same data in the same second, its release stays and becomes the latest. If
    ``latest.json`` names the release although an ``OSError`` occurred, the release stays and a warning is logged.
    """
    releases = releases_of(run.config)
    release = Release(path=releases / str(manifest["version"]), version=manifest["version"], digest=manifest["digest"])
    sync(staging)
    try:
        staging.rename(release.path)
    except OSError:
        if not _has_digest(release):
            raise
    try:
        sync(releases)
        latest = {key: manifest[key] for key in ("dataset", "version", "digest", "created_at")}
        write_json(releases / LATEST, latest)
    except BaseException as error:
        if not _is_latest(release.path):
            with suppress(OSError):
                release.path.rename(staging)
            raise
        if not isinstance(error, OSError):
            raise
        LOG.warning("published; the disk did not confirm it (%s)", error)
    return release


def _has_digest(release: Release) -> bool:
    with suppress(ArtifactError, KeyError, TypeError):
        return bool(parse_json(release.path / MANIFEST)["digest"] == release.digest)
    return False


def _is_latest(release: Path) -> bool:
    with suppress(ArtifactError, OSError):
        return release_at(release.parent) == release
    return False
