"""Ids arrive unchanged through every format, whatever text or number they are."""

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdrm_core.config import SourceConfig
from sdrm_core.data.readers import read_interactions
from sdrm_core.data.sources import LocatedSource
from sdrm_core.errors import DataError

from .strategies import integers, texts

MANY_TEXTS = st.lists(texts(exclude="\0"), min_size=2, max_size=12, unique=True)
MANY_INTEGERS = st.lists(integers(), min_size=2, max_size=12, unique=True)


def read_back(name: str, content: bytes, **settings) -> list:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        source = SourceConfig(uri=str(path), feedback="implicit", **settings)
        table = read_interactions(LocatedSource(uri=source.uri, files=(path,), sha256=""), source)
    assert table["item_id"].to_pylist() == list(range(table.num_rows))
    return table["user_id"].to_pylist()


def csv_bytes(ids, **options) -> bytes:
    sink = io.StringIO()
    rows = csv.writer(sink, **options)
    rows.writerow(["user_id", "item_id"])
    rows.writerows((identifier, number) for number, identifier in enumerate(ids))
    return sink.getvalue().encode()


def json_bytes(ids, **options) -> bytes:
    records = ({"item_id": number, "user_id": identifier} for number, identifier in enumerate(ids))
    return "\n".join(json.dumps(record, **options) for record in records).encode()


STYLES = [(csv.QUOTE_MINIMAL, "\r\n"), (csv.QUOTE_ALL, "\r\n"), (csv.QUOTE_ALL, "\n")]


@given(ids=MANY_TEXTS, style=st.sampled_from(STYLES))
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize(("name", "delimiter"), [("log.csv", ","), ("log.tsv", "\t"), ("log.csv", ";")])
def test_text_through_csv(name, delimiter, ids, style):
    content = csv_bytes(ids, delimiter=delimiter, quoting=style[0], lineterminator=style[1])
    assert read_back(name, content, delimiter=delimiter, user_id_type="text") == ids
    assert [str(identifier) for identifier in read_back(name, content, delimiter=delimiter)] == ids


@given(ids=MANY_TEXTS)
@settings(max_examples=100, deadline=None)
def test_text_through_pandas(ids):
    """Pandas leaves a lone carriage return without quotes: then a row breaks, and the file is refused, not changed."""
    frame = pd.DataFrame({"user_id": ids, "item_id": range(len(ids))})
    content = gzip.compress(frame.to_csv(index=False).encode())
    try:
        assert read_back("log.csv.gz", content, user_id_type="text") == ids
    except DataError:
        assert any("\r" in identifier for identifier in ids)


@given(ids=MANY_INTEGERS)
@settings(max_examples=50, deadline=None)
def test_integers_through_every_format(ids):
    assert read_back("log.csv", csv_bytes(ids)) == ids
    assert read_back("log.jsonl", json_bytes(ids)) == ids
    assert read_back("log.parquet", parquet_bytes(ids)) == ids


@given(ids=MANY_INTEGERS, beyond=st.one_of(st.integers(2**63, 10**40), st.integers(-(10**40), -(2**63) - 1)))
@settings(max_examples=50, deadline=None)
def test_integers_beyond_64_bits_become_their_digits(ids, beyond):
    ids = [*ids, beyond]
    digits = [str(identifier) for identifier in ids]
    assert read_back("log.csv", csv_bytes(ids)) == digits
    assert read_back("log.jsonl", json_bytes(ids)) == digits


@given(ids=st.lists(texts(), min_size=2, max_size=12, unique=True), ensure_ascii=st.booleans())
@settings(max_examples=100, deadline=None)
def test_text_through_json_lines_and_parquet(ids, ensure_ascii):
    assert read_back("log.jsonl", json_bytes(ids, ensure_ascii=ensure_ascii)) == ids
    assert read_back("log.parquet", parquet_bytes(ids)) == ids


def parquet_bytes(ids) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"user_id": ids, "item_id": range(len(ids))}), sink)
    return sink.getvalue()
