import hashlib

import pytest

from sdrm_core.config import ColumnsConfig, FilterConfig, SourceConfig
from sdrm_core.data.catalogue import CATALOGUE, resolve
from sdrm_core.data.interactions import index_interactions
from sdrm_core.data.kcore import k_core
from sdrm_core.data.readers import read_interactions
from sdrm_core.data.sources import LocatedSource
from sdrm_core.errors import ConfigError

from .logs import read, real_data


def test_every_entry_is_fetched_safely_and_checked():
    assert set(CATALOGUE) == {"movielens-100k", "movielens-1m", "amazon-luxury-beauty", "amazon-digital-music"}
    for dataset in CATALOGUE.values():
        assert dataset.url.startswith("https://")
        assert len(bytes.fromhex(dataset.sha256)) == 32
        assert (dataset.member is None) == (dataset.member_sha256 is None)


def test_the_users_choice_of_what_is_positive_stays():
    source = resolve(SourceConfig(uri="movielens-1m", positive_rating=5, feedback="implicit", download=True))
    assert (source.positive_rating, source.feedback, source.download) == (5, "implicit", True)
    assert source.columns.timestamp == "timestamp"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("format", "parquet"),
        ("delimiter", ";"),
        ("header", ["who", "what"]),
        ("columns", {"user": "who"}),
        ("user_id_type", "text"),
        ("item_id_type", "integer"),
    ],
)
def test_a_named_data_set_is_not_read_otherwise(setting, value):
    source = SourceConfig.model_validate({"uri": "movielens-1m", setting: value})
    with pytest.raises(ConfigError, match=f"^source.{setting}: movielens-1m is read as its home writes it"):
        resolve(source)


def test_settings_that_say_what_the_data_set_brings_are_welcome():
    resolved = resolve(SourceConfig(uri="amazon-digital-music", item_id_type="text", format="csv"))
    assert resolve(resolved) == resolved
    assert resolve(SourceConfig(uri="movielens-1m", feedback="implicit", columns=ColumnsConfig(rating=None)))


def test_any_other_source_stays_as_it_is():
    source = SourceConfig(uri="log.csv", delimiter=";")
    assert resolve(source) is source


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("movielens-100k", b"196\t242\t3\t881250949\n186\t302\t4\t891717742\n", ([196, 186], [242, 302])),
        ("movielens-1m", b"1::1193::3::978300760\n2::661::4::978302109\n", ([1, 2], [1193, 661])),
        (
            "amazon-luxury-beauty",
            b"0000031887,AXX,3.0,1527984000\nB00004U9V2,AYY,4.0,1523664000\n",
            (["AXX", "AYY"], ["0000031887", "B00004U9V2"]),
        ),
        (
            "amazon-digital-music",
            b"1234567890,AXX,3.0,1527984000\n1234567891,AYY,4.0,1523664000\n",
            (["AXX", "AYY"], ["1234567890", "1234567891"]),
        ),
    ],
)
def test_each_data_set_is_read_as_its_home_writes_it(tmp_path, name, data, expected):
    path = tmp_path / CATALOGUE[name].file_name
    path.write_bytes(data)
    table = read_interactions(LocatedSource(uri=name, files=(path,), sha256=""), resolve(SourceConfig(uri=name)))
    assert (table["user_id"].to_pylist(), table["item_id"].to_pylist()) == expected
    assert table["rating"].to_pylist() == [3.0, 4.0]
    assert table.schema.names == ["user_id", "item_id", "rating", "timestamp"]


@pytest.mark.real_data
def test_movielens_100k_gives_the_four_numbers_of_the_paper():
    path = real_data("ml-100k-u.data")
    dataset = CATALOGUE["movielens-100k"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == dataset.member_sha256
    settings = resolve(SourceConfig(uri="movielens-100k")).model_dump(include={"format", "header", "columns"})
    source = SourceConfig(uri=str(path), **settings)
    log = index_interactions(read(path, **settings), source=source)
    assert (log.n_pairs, log.n_users, log.n_items) == (100_000, 943, 1_682)
    core = k_core(log, FilterConfig())
    assert (core.n_users, core.n_items, core.n_pairs, core.counts.interactions) == (938, 1_008, 95_215, 54_413)


@pytest.mark.real_data
def test_the_positives_of_movielens_1m_are_their_own_5_core():
    path = real_data("ml-1m-positives.parquet")
    log = index_interactions(read(path, feedback="implicit"), source=SourceConfig(feedback="implicit"))
    core = k_core(log, FilterConfig())
    assert (core.n_users, core.n_items, core.counts.interactions) == (5_949, 2_810, 571_531)
