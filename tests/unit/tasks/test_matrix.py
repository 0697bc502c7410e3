"""How much of the log the filter leaves is told, loudly if it is less than half of the people."""

import logging

import numpy as np
import pyarrow as pa
import pytest

from sdrm_core.data.stored_log import write_log
from sdrm_core.records import Artifact
from sdrm_core.storage import sha256_of
from tasks.matrix import build_matrix
from tasks.records import Ingested, Run, SourceFacts
from tests.conftest import small_night


@pytest.fixture
def told(tmp_path, caplog):
    """Return what builds the matrix of a log whose users have these numbers of items, and returns what is logged."""

    def told(counts):
        rng = np.random.default_rng(0)
        items = np.concatenate([rng.choice(60, size=count, replace=False) for count in counts])
        users = pa.array(np.repeat(np.arange(len(counts)), counts))
        path = tmp_path / "log.parquet"
        write_log(pa.table({"user_id": users, "item_id": items, "rating": np.full(len(items), 5.0)}), path)
        run = Run(config=small_night(tmp_path), directory=tmp_path, digest="0" * 64)
        source = SourceFacts(uri="log.parquet", sha256="0" * 64, rows=len(items))
        with caplog.at_level(logging.INFO):
            build_matrix.fn(Ingested(run=run, source=source, interactions=Artifact(path=path, sha256=sha256_of(path))))
        return {record.levelname: record.getMessage() for record in caplog.records if "the filter" in record.msg}

    return told


def test_what_the_filter_left_is_told(told):
    assert told([8] * 400) == {
        "INFO": "the filter left 400 of 400 users, 60 of 60 items and 3,200 of 3,200 positive interactions"
    }


def test_a_filter_that_removes_most_people_says_so_and_how_to_keep_more(told):
    assert told([8] * 400 + [3] * 600) == {
        "WARNING": "the filter left 400 of 1,000 users, 60 of 60 items and 3,200 of 5,000 positive interactions; "
        "lower filter.min_user_positives or filter.min_item_positives to keep more"
    }
