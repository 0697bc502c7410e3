import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sdrm_core.config import ColumnsConfig, SourceConfig
from sdrm_core.data import loading, sources
from sdrm_core.data.loading import load_interactions
from sdrm_core.errors import ConfigError, DataError, SourceChangingError

from .logs import HEADER


def test_the_embedded_log_is_named_by_its_content(tmp_path):
    table, facts = load_interactions(SourceConfig(), cache=tmp_path, seed=0)
    again = load_interactions(SourceConfig(), cache=tmp_path, seed=0)[1]
    other = load_interactions(SourceConfig(), cache=tmp_path, seed=1)[1]
    assert (facts.uri, facts.rows) == ("embedded", table.num_rows)
    assert facts == again
    assert facts.sha256 != other.sha256


def test_the_embedded_log_has_no_ratings_and_no_times_if_none_are_wanted(tmp_path):
    table, _ = load_interactions(SourceConfig(feedback="implicit"), cache=tmp_path, seed=0)
    assert table.column_names == ["user_id", "item_id"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("header", {"header": ["user_id", "item_id", "rating"]}),
        ("format", {"format": "csv"}),
        ("columns", {"columns": {"user": "who"}}),
        ("columns", {"columns": {"rating": "stars"}}),
    ],
)
def test_settings_of_a_file_without_the_file_do_not_mean_the_embedded_log(tmp_path, name, settings):
    with pytest.raises(ConfigError, match=f"^source.{name}: settings of a file, but none is named"):
        load_interactions(SourceConfig.model_validate(settings), cache=tmp_path, seed=0)


def test_the_embedded_log_may_be_read_as_one_without_ratings(tmp_path):
    source = SourceConfig(feedback="implicit", columns=ColumnsConfig(rating=None))
    assert load_interactions(source, cache=tmp_path, seed=0)[1].uri == "embedded"


def test_a_file_is_named_by_its_bytes_whatever_the_seed(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(HEADER + b"1,a,5\n2,b,3\n")
    source = SourceConfig(uri=str(path))
    table, facts = load_interactions(source, cache=tmp_path, seed=0)
    assert table["item_id"].to_pylist() == ["a", "b"]
    assert (facts.uri, facts.rows, len(facts.sha256)) == (str(path), 2, 64)
    assert load_interactions(source, cache=tmp_path, seed=1)[1] == facts


@pytest.mark.parametrize("change", ["appended", "replaced", "damaged", "removed"])
def test_a_file_that_is_written_to_while_it_is_read_is_worth_another_try(tmp_path, monkeypatch, change):
    path = tmp_path / "log.csv"
    path.write_bytes(HEADER + b"1,a,5\n2,b,3\n")
    read = loading.read_interactions

    def read_late(*arguments):
        if change == "replaced":
            (tmp_path / "new.csv").write_bytes(path.read_bytes())
            (tmp_path / "new.csv").rename(path)
        elif change == "removed":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes() + (b"3,a,4\n" if change == "appended" else b"3,a"))
        return read(*arguments)

    monkeypatch.setattr(loading, "read_interactions", read_late)
    with pytest.raises(SourceChangingError, match=r"log\.csv: was written to while it was read") as caught:
        load_interactions(SourceConfig(uri=str(path)), cache=tmp_path, seed=0)
    assert isinstance(caught.value, OSError)  # which the stage repeats


@pytest.mark.parametrize("step", ["_state", "_digest"])
def test_a_file_that_is_removed_before_it_is_read_is_worth_another_try(tmp_path, monkeypatch, step):
    path = tmp_path / "log.csv"
    path.write_bytes(HEADER + b"1,a,5\n2,b,3\n")
    take = getattr(sources, step)
    monkeypatch.setattr(sources, step, lambda files: path.unlink() or take(files))
    with pytest.raises(SourceChangingError, match=r"log\.csv: was written to while it was read"):
        load_interactions(SourceConfig(uri=str(path)), cache=tmp_path, seed=0)


@pytest.mark.parametrize(("name", "setting"), [("header", ["user_id", "item_id", "rating"]), ("delimiter", ";")])
@pytest.mark.parametrize("file", ["log.jsonl", "log.parquet"])
def test_settings_of_text_files_are_refused_where_nothing_would_heed_them(tmp_path, file, name, setting):
    (tmp_path / file).write_bytes(b"?")
    source = SourceConfig.model_validate({"uri": str(tmp_path / file), name: setting})
    with pytest.raises(ConfigError, match=rf"^source.{name}: .*{file} is read as {file[4:]}\. Unset"):
        load_interactions(source, cache=tmp_path, seed=0)


def test_a_file_that_cannot_be_read_hides_nothing_that_is_wrong_in_the_others(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "a.parquet").symlink_to(tmp_path / "gone")
    (folder / "b.parquet").write_bytes(b"PAR1 and no more")
    write_parquet({"user_id": [1, None], "item_id": [1, 2], "rating": [5.0, 4.0]}, folder / "c.parquet")
    with pytest.raises(DataError) as error:
        load_interactions(SourceConfig(uri=str(folder)), cache=tmp_path, seed=0)
    told = [(problem.where.removeprefix(f"{folder}/"), problem.what) for problem in error.value.problems]
    assert told[0] == ("a.parquet", "there is no such file")
    assert told[1][0] == "b.parquet"
    assert told[2] == ("c.parquet", "no user id")
    assert len(told) == 3


def test_the_rest_of_a_source_is_not_called_too_small(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "a.parquet").symlink_to(tmp_path / "gone")
    write_parquet({"user_id": [1], "item_id": [1], "rating": [5.0]}, folder / "b.parquet")
    with pytest.raises(DataError) as error:
        load_interactions(SourceConfig(uri=str(folder)), cache=tmp_path, seed=0)
    assert [problem.where for problem in error.value.problems] == [str(folder / "a.parquet")]


def write_parquet(columns, path):
    pq.write_table(pa.table(columns), path)
