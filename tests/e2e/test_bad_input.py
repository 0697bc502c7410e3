"""What bad input gets through the command line: exit code 4, every problem in one message, nothing left behind."""

import gzip
import json
import sys
from unittest.mock import Mock

import pytest
import yaml

from flows import cli
from sdrm_core.data.simulate import simulate_interactions
from sdrm_core.errors import Problem, SourceUnreachableError
from tests.conftest import small_night

pytestmark = pytest.mark.usefixtures("prefect_server")

HEADER = "user_id,item_id,rating\n"
PREVIOUS = json.dumps({"version": "the previous release"})


@pytest.fixture
def log():
    """Return a good log as text, one row a line, to be spoiled."""
    frame = simulate_interactions(seed=3, n_users=200, n_items=80).to_pandas()[["user_id", "item_id", "rating"]]
    return frame.to_csv(index=False)


@pytest.fixture
def sdrm(tmp_path, monkeypatch, capsys):
    """Return a function that runs ``sdrm run`` on a source in this process: (exit code, standard error)."""
    (tmp_path / "releases" / "small").mkdir(parents=True)
    (tmp_path / "releases" / "small" / "latest.json").write_text(PREVIOUS)
    config = tmp_path / "night.yaml"

    def run(source, *options, **sections):
        tree = small_night(tmp_path, source={"uri": str(source)}, **sections).model_dump(mode="json")
        config.write_text(yaml.safe_dump(tree))
        monkeypatch.setattr(sys, "argv", ["sdrm", "run", str(config), *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    yield run
    assert (tmp_path / "releases" / "small" / "latest.json").read_text() == PREVIOUS
    assert [path.name for path in (tmp_path / "releases").rglob("*")] == ["small", "latest.json"]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def with_row(log, number, row):
    lines = log.splitlines(keepends=True)
    lines.insert(number - 1, row + "\n")
    return "".join(lines)


def assert_refused(outcome, *parts):
    code, message = outcome
    assert code == 4, message
    missing = [part for part in parts if part not in message]
    assert not missing, message
    assert "Traceback" not in message


def test_a_missing_file(sdrm, tmp_path):
    assert_refused(sdrm(tmp_path / "nowhere.csv"), "nowhere.csv")


def test_an_empty_file(sdrm, tmp_path):
    assert_refused(sdrm(write(tmp_path / "log.csv", "")), "log.csv", "empty")


def test_a_header_alone(sdrm, tmp_path):
    assert_refused(sdrm(write(tmp_path / "log.csv", HEADER)), "log.csv", "no rows")


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl", "log.parquet", "log.csv.gz"])
def test_a_file_of_the_wrong_format(sdrm, tmp_path, name):
    assert_refused(sdrm(write(tmp_path / name, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)))), name)


def test_a_missing_column_names_what_is_there(sdrm, tmp_path, log):
    spoiled = log.replace("item_id", "itemid", 1)
    assert_refused(sdrm(write(tmp_path / "log.csv", spoiled)), "log.csv", "item_id", "itemid")


def test_all_problems_come_in_one_message(sdrm, tmp_path, log):
    spoiled = with_row(with_row(with_row(log, 20, ",i1,5"), 30, "u1,i1,five"), 40, "u1,i1,nan")
    outcome = sdrm(write(tmp_path / "log.csv", spoiled))
    assert_refused(outcome, "log.csv", "user_id", "rating", "line 20", "line 30", "five", "line 40")


def test_infinity_in_the_rating(sdrm, tmp_path, log):
    assert_refused(sdrm(write(tmp_path / "log.csv", with_row(log, 7, "u1,i1,inf"))), "rating", "line 7", "inf")


def test_a_row_with_a_field_too_many(sdrm, tmp_path, log):
    assert_refused(sdrm(write(tmp_path / "log.csv", with_row(log, 50, "u1,i1,5,6,7"))), "log.csv", "line 50")


def test_truncated_gzip(sdrm, tmp_path, log):
    packed = gzip.compress(log.encode())
    assert_refused(sdrm(write(tmp_path / "log.csv.gz", packed[: len(packed) // 2])), "log.csv.gz")


def test_corrupt_parquet(sdrm, tmp_path):
    path = tmp_path / "log.parquet"
    frame = simulate_interactions(seed=3, n_users=200, n_items=80).to_pandas()
    frame[["user_id", "item_id", "rating"]].to_parquet(path)
    content = bytearray(path.read_bytes())
    content[100 : len(content) // 2] = b"\xff" * (len(content) // 2 - 100)
    assert_refused(sdrm(write(path, bytes(content))), "log.parquet")


def test_ids_of_mixed_types(sdrm, tmp_path):
    rows = [{"user_id": user, "item_id": f"i{user}", "rating": 5} for user in (1, 2, "3", 4)]
    path = write(tmp_path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert_refused(sdrm(path), "log.jsonl", "user_id", "line 3")


def test_one_user_only(sdrm, tmp_path):
    rows = "".join(f"u1,i{item},5\n" for item in range(50))
    assert_refused(sdrm(write(tmp_path / "log.csv", HEADER + rows)), "user")


def test_nothing_left_after_the_filter_says_at_which_step(sdrm, tmp_path):
    rows = "".join(f"u{user},i{user % 7},5\n" for user in range(300))
    assert_refused(sdrm(write(tmp_path / "log.csv", HEADER + rows)), "round 1", "filter.min_user_positives")


def test_more_users_than_the_disk_holds(sdrm, tmp_path, log):
    outcome = sdrm(write(tmp_path / "log.csv", log), sampling={"users": 10**13})
    assert_refused(outcome, "synthetic users need about", "Ask for at most")


def test_an_output_directory_that_cannot_be_written(sdrm, tmp_path, log):
    source = write(tmp_path / "log.csv", log)
    outcome = sdrm(source, "--releases", str(source / "below"), "--work", str(source / "too"))
    assert_refused(outcome, "paths.releases", "paths.work")


def test_a_journal_that_cannot_be_written_is_told_before_anything_is_read(sdrm, tmp_path):
    (tmp_path / "work" / "runs.jsonl").mkdir(parents=True)
    outcome = sdrm(tmp_path / "nowhere.csv")
    assert_refused(outcome, "runs.jsonl: cannot be written", "move it away")
    assert "no such file" not in outcome[1]


def test_more_anonymity_than_there_are_people_is_refused_before_training(sdrm, tmp_path, log):
    nobody_evaluates = {"train": 0.8, "validation": 0.1, "holdout": 0.0999, "evaluation": 0.0001}
    source = write(tmp_path / "log.csv", log)
    outcome = sdrm(source, "--set", "privacy.k_anonymity=5000", roles=nobody_evaluates)
    assert_refused(outcome, "privacy.k_anonymity: asks for 5000 training users an item", "Lower it", "roles.evaluation")
    assert not [path for path in (tmp_path / "work").rglob("*") if "vae" in path.name]


def test_a_gpu_that_is_not_there_and_a_key_that_is_not_there_are_told_before_the_source_is_read(sdrm, tmp_path):
    empty = write(tmp_path / "log.csv", "")
    for setting, told in (("compute.device=cuda", "no GPU is visible"), ("roles.key_block=none", "roles.key_block")):
        code, message = sdrm(empty, "--set", setting)
        assert code == 2
        assert told in message


@pytest.mark.parametrize(
    "uri", ["s3://bucket/log.csv?signature=SECRET", "bob:SECRET@host/log.csv", "jdbc:db://b:SECRET@h"]
)
def test_what_is_elsewhere_is_refused_and_not_repeated(tmp_path, monkeypatch, capsys, uri):
    monkeypatch.setattr(sys, "argv", ["sdrm", "run", "deployments/demo.yaml", "--source", uri])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert "uri must" in message
    assert "SECRET" not in message


def test_a_download_that_fails_names_what_could_not_be_fetched(monkeypatch, capsys):
    problem = Problem("https://example.org/log.zip", "could not be fetched (connection refused)", "Try again later")
    monkeypatch.setattr(cli, "app", Mock(side_effect=SourceUnreachableError(problem)))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 4
    assert capsys.readouterr().err == (
        "sdrm: https://example.org/log.zip: could not be fetched (connection refused). Try again later\n"
    )


def test_a_misspelt_setting_is_exit_code_2_with_the_nearest_valid_one(sdrm, tmp_path):
    code, message = sdrm(tmp_path / "unread.csv", "--set", "smapling.users=3")
    assert code == 2
    assert "Did you mean sampling" in message


def test_a_failed_gate_is_exit_code_3(sdrm, tmp_path, log):
    outcome = sdrm(write(tmp_path / "log.csv", log), gates={"raw_interactions": {"min_rows": 10**9}})
    assert outcome[0] == 3
    assert "raw_interactions" in outcome[1]


def test_no_user_id_is_told(sdrm, tmp_path, log):
    spoiled = with_row(log, 9, "very-private-person,i1,five")
    outcome = sdrm(write(tmp_path / "log.csv", spoiled))
    assert_refused(outcome, "line 9", "five")
    assert "very-private-person" not in outcome[1]
