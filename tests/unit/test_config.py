"""The configuration: one default a value, nothing unknown, nothing corrected in silence."""

import json

import pytest

from sdrm_core.config import PipelineConfig
from sdrm_core.config.file import load_config
from sdrm_core.errors import ConfigError


def test_an_empty_file_is_all_defaults(tmp_path):
    path = tmp_path / "empty.yaml"
    path.write_text("")
    assert load_config(path) == PipelineConfig()


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("sampling.tempertaure=1", "sampling.temperature"),
        ("smapling.users=3", "sampling"),
        ("source.columns.usr=x", "source.columns.user"),
        ("sede=1", "seed"),
        ("vae.lerning_rate=1", "vae.learning_rate"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_valid_one(wrong, nearest):
    with pytest.raises(ConfigError, match=rf"Did you mean {nearest}\b"):
        load_config(None, [wrong])


def test_all_problems_are_told_at_once(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("sede: 1\nvae: {dropout: 1.5}\nsampling: {users: 0}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert all(part in message for part in ("sede", "vae.dropout", "sampling.users", "wrong.yaml"))


@pytest.mark.parametrize("override", ["vae.dropout", "=3", "seed.deeper=1\0"])
def test_a_malformed_override_is_refused(override):
    with pytest.raises(ConfigError):
        load_config(None, [override])


def test_a_malformed_override_hides_no_other_problem():
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["vae", "seed=x", "dataset=[a", "nope=1", "seed.deeper=1"])
    told = (
        "--set 'vae': write",
        "--set 'dataset=[a'",
        "--set 'seed.deeper=1'",
        "seed: Input",
        "nope: there is no such",
    )
    message = str(caught.value)
    assert sorted(map(message.find, told)) == [message.find(part) for part in told]
    assert -1 not in map(message.find, told)


@pytest.mark.parametrize("delimiter", ["|", "#", ">", "*", ";", ",", ":", "!", " ", "\t", "&", "["])
def test_a_sign_that_yaml_reads_as_its_own_is_a_delimiter(delimiter):
    assert load_config(None, [f"source.delimiter={delimiter}"]).source.delimiter == delimiter
    quoted = json.dumps(delimiter)
    assert load_config(None, [f"source.delimiter={quoted}"]).source.delimiter == delimiter


def test_overrides_win_over_the_file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 1\nvae: {latent_dim: 7}\n")
    config = load_config(path, ["seed=2", "vae.beta=0.1"])
    assert (config.seed, config.vae.latent_dim, config.vae.beta) == (2, 7, 0.1)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\tseed: 1"])
def test_what_is_not_a_tree_of_settings_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        load_config(path)


def test_a_missing_file_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


def test_credentials_in_the_source_are_refused():
    with pytest.raises(ConfigError, match="credentials"):
        load_config(None, ["source.uri=https://user:secret@example.org/log.csv"])


@pytest.mark.parametrize(
    "override",
    [
        "source=postgresql://u:hunter2@h/db",
        "source=host=h user=u password=hunter2 dbname=d",
        "source=hunter2",
        "source.uri=host=h user=u password=hunter2 dbname=d",
        "source.uri=Server=h;UID=u;PWD = 'hunter2 x'",
        "source.uri=//u:hunter2@h/db",
        "source.uri=jdbc:postgresql://h/db?user=u&password=hunter2",
        "source.uri=[postgresql://u:hunter2@h/db]",
        "source.columns=password=hunter2",
        "dataset=postgresql://u:hunter2@h/db",
        "paths.work=~nobody-here://u:hunter2@h/db",
        "postgresql://u:hunter2@h/db",
        "postgresql://u:hunter2@h/db?sslmode=require",
        "source.uri=postgresql://u:hunter2@a-server-of-a-long-name/db: x",
        "seed.uri=password=hunter2",
    ],
)
def test_a_password_is_refused_and_not_repeated_wherever_it_was_written(override):
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["dataset=shop", override])
    assert "hunter2" not in str(caught.value)


def test_a_password_in_a_file_that_cannot_be_read_is_not_repeated(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text("source:\n  uri: postgresql://u:hunter2@a-server-of-a-long-name/db: x\n")
    with pytest.raises(ConfigError, match="is not valid YAML") as caught:
        load_config(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("uri", ["./password=1.csv", "/data/pwd=1/log.csv", "my_passwords.csv"])
def test_a_file_may_be_about_passwords(uri):
    assert load_config(None, ["dataset=shop", f"source.uri={uri}"]).source.uri == uri


def test_a_source_that_is_a_database_is_told_what_to_do():
    with pytest.raises(ConfigError, match="export it from a database, to a local file first"):
        load_config(None, ["dataset=shop", "source.uri=host=h user=u password=x dbname=d"])
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["source=log.csv"])
    told = "is a group of settings; set each by its own path, e.g. source.uri"
    assert str(caught.value) == f"the command line: source: {told}"


@pytest.mark.parametrize("value", ["2024-02-30", "2024-13-45"])
def test_a_date_that_is_none_is_a_configuration_error(tmp_path, value):
    path = tmp_path / "night.yaml"
    path.write_text(f"dataset: {value}\n")
    with pytest.raises(ConfigError, match=r"night\.yaml: is not valid YAML"):
        load_config(path)
    with pytest.raises(ConfigError, match="--set 'dataset="):
        load_config(None, [f"dataset={value}"])


def test_a_section_whose_lines_were_removed_sets_nothing(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text("vae:\nsource:\n  columns:\n")
    assert load_config(path) == PipelineConfig()
    assert load_config(path, ["vae.max_epochs=3"]).vae.max_epochs == 3


def test_a_file_whose_name_looks_like_a_password_needs_a_path():
    with pytest.raises(ConfigError, match=r"needs a path: \./name"):
        load_config(None, ["source.uri=log:2024@night.csv"])
    config = load_config(None, ["dataset=shop", "source.uri=./log:2024@night.csv"])
    assert config.source.uri == "./log:2024@night.csv"


def test_shares_must_add_up_to_one():
    with pytest.raises(ConfigError, match="must add up to 1; they add up to"):
        load_config(None, ["roles.train=0.9"])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["roles.holdout=0", "roles.train=0.8"], "holdout and evaluation must each be above 0"),
        (["roles.evaluation=0", "roles.train=0.8"], "holdout and evaluation must each be above 0"),
        (["dataset=shop", "source.uri=''"], "source.uri: .*at least 1 character"),
        (["utility.judges=[popularity,ease]"], "utility: judges must include 'svd'"),
    ],
)
def test_what_could_never_be_published_is_refused(overrides, told):
    with pytest.raises(ConfigError, match=told):
        load_config(None, overrides)


def test_where_and_how_work_runs_does_not_change_the_result_settings():
    plain = PipelineConfig()
    moved = load_config(None, ["paths.work=/elsewhere", "compute.shard_users=7", "compute.device=cpu"])
    assert moved.result_settings() == plain.result_settings()
    assert load_config(None, ["seed=1"]).result_settings() != plain.result_settings()


def test_where_the_source_lies_changes_no_result_and_is_not_public():
    near, far = (load_config(None, ["dataset=shop", f"source.uri={uri}"]) for uri in ("log.csv", "/data/../log.csv"))
    assert near.result_settings() == far.result_settings()
    assert far.public_settings()["source"]["uri"] == "log.csv"
    assert load_config(None, ["dataset=shop", "source.uri=log.tsv"]).result_settings() != near.result_settings()


@pytest.mark.parametrize(
    ("uri", "name"),
    [("log.csv", "log.csv"), (".", "night"), ("./", "night"), ("logs/..", "night"), ("~/.", "home"), ("/", "/")],
)
def test_every_source_has_a_name(tmp_path, monkeypatch, uri, name):
    (tmp_path / "night").mkdir()
    monkeypatch.chdir(tmp_path / "night")
    monkeypatch.setenv("HOME", "/somebodys/home")
    config = load_config(None, ["dataset=shop", f"source.uri={uri}"])
    assert config.source.name == config.public_settings()["source"]["uri"] == name


def test_a_home_directory_that_is_not_there_is_told_with_all_else():
    wrong = ["source.uri=~nobody-here/log.csv", "paths.work=~nobody-here/work", "utility.judges=[svd,svd]"]
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["dataset=shop", *wrong])
    told = str(caught.value).splitlines()
    assert len(told) == len(wrong)
    assert "source.uri: ~nobody-here/log.csv starts at a home directory that does not exist" in told[0]
    assert "name each judge once" in told[1]
    assert "paths.work: ~nobody-here/work" in told[2]


@pytest.mark.parametrize("name", ["releases", "work", "cache"])
def test_a_directory_is_no_url(name):
    with pytest.raises(ConfigError, match=rf"paths\.{name}: must be a local directory, not a URL") as caught:
        load_config(None, [f"paths.{name}=s3://key:hunter2@bucket/rel"])
    assert "hunter2" not in str(caught.value)
    assert load_config(None, ["paths.releases=/data/s3:/rel"]).paths.releases.parts[-1] == "rel"


@pytest.mark.parametrize(
    ("releases", "work"),
    [("out", "out"), ("out", "out/work"), ("out/rel", "out"), ("~/out", "out/../out/work"), ("link", "out/work")],
)
def test_real_ids_do_not_lie_among_what_is_shared(tmp_path, monkeypatch, releases, work):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("out")
    with pytest.raises(ConfigError, match=r"paths: releases .* and work .* must be separate, neither inside the other"):
        load_config(None, [f"paths.releases={releases}", f"paths.work={work}"])
    assert load_config(None, ["paths.releases=out", "paths.work=out-work"]).paths.releases.name == "out"


def test_what_no_folder_can_be_called_is_refused():
    with pytest.raises(ConfigError, match="dataset: String should have at most 100 characters"):
        load_config(None, [f"dataset={'x' * 101}"])
    assert load_config(None, [f"dataset={'x' * 100}"]).dataset == "x" * 100
    for key in ("paths.releases", "paths.work", "paths.cache", "source.uri"):
        with pytest.raises(ConfigError, match=f"{key}: a path cannot contain a zero byte"):
            load_config(None, ["dataset=shop", f'{key}="a\\0b"'])


def test_data_of_ones_own_need_a_name_of_their_own():
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["source.uri=log.csv"])
    name = "set dataset to a name of its own, e.g. dataset=shop: 'demo' is the embedded data set"
    assert str(caught.value) == f"the configuration and the command line: source: {name}"
    assert load_config(None, ["source.uri=log.csv", "dataset=shop"]).dataset == "shop"


def test_what_a_night_asks_of_single_sections_is_told_with_all_else():
    wrong = ["source.uri=log.csv", "vae.dropout=0", "sampling.users=0", "utility.judges=[ease]", "filter.min_user=5"]
    with pytest.raises(ConfigError) as caught:
        load_config(None, wrong)
    told = [line.split(": ", 2)[1] for line in str(caught.value).splitlines()]
    assert told == ["source", "filter.min_user", "vae", "sampling.users", "utility"]


def test_a_vae_that_is_shown_everything_has_nothing_to_learn():
    with pytest.raises(ConfigError, match="dropout must be above 0"):
        load_config(None, ["vae.dropout=0"])


def test_doubt_is_for_a_linear_decoder():
    assert load_config(None, ["sampling.doubt=2"]).sampling.doubt == 2
    with pytest.raises(ConfigError, match=r"sampling: doubt needs a linear decoder: .* vae\.decoder_units to 0"):
        load_config(None, ["sampling.doubt=2", "vae.decoder_units=8"])


def test_an_error_names_where_the_setting_was_made(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text("vae: {dropout: 2}")
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["privacy.attempts=3", "nokey=1"])
    told = dict(line.split(": ", 2)[1::-1] for line in str(caught.value).splitlines())
    assert told == {"vae.dropout": str(path), "privacy.attempts": "the command line", "nokey": "the command line"}


def test_what_file_and_command_line_make_together_is_told_of_both(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text("roles: {holdout: 0.2, validation: 0.0, evaluation: 0.1}")
    with pytest.raises(ConfigError, match=r"night.yaml and the command line: roles: train, validation, holdout"):
        load_config(path, ["roles.train=0.7"])


def test_a_section_that_stands_there_twice_is_refused_with_its_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("dataset: shop\nvae:\n  max_epochs: 3\nvae:\n  beta: 0.2\n")
    with pytest.raises(ConfigError, match=r"(?s)twice.yaml: .*'vae' is set twice.*line 4"):
        load_config(path)


def test_a_setting_given_twice_in_one_override_is_refused():
    with pytest.raises(ConfigError, match=r"--set 'source=.*'uri' is set twice"):
        load_config(None, ["dataset=shop", "source={uri: a, uri: b}"])


@pytest.mark.parametrize("number", ["010", "-010", "0x10", "0b1", "1:30", "1:30.5", "0_7"])
def test_a_number_that_yaml_would_read_as_another_is_refused(tmp_path, number):
    path = tmp_path / "night.yaml"
    path.write_text(f"source: {{positive_rating: {number}}}\n")
    told = f"{number} is no decimal number; write it as one, or in quotes if it is text"
    for arguments in ((path,), (None, [f"source.positive_rating={number}"])):
        with pytest.raises(ConfigError) as caught:
            load_config(*arguments)
        assert told in str(caught.value)


@pytest.mark.parametrize(
    ("number", "value"), [("0", 0), ("1_000", 1000), ("-3", -3), ("+4", 4), ("0.5", 0.5), ("1e-3", 0.001), (".5", 0.5)]
)
def test_a_decimal_number_is_read(number, value):
    assert load_config(None, [f"source.positive_rating={number}"]).source.positive_rating == value


def test_a_list_as_a_key_is_no_valid_yaml(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("? [a, b]\n: 1\n")
    with pytest.raises(ConfigError, match=r"list.yaml: is not valid YAML"):
        load_config(path)


@pytest.mark.parametrize("override", ["seed=true", "vae.dropout=false", "source.header=true", "dataset=true"])
def test_a_flag_is_no_number(override):
    with pytest.raises(ConfigError, match="is a boolean, and this setting is not one"):
        load_config(None, [override])


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("privacy.report_only=membership", "must be a list in brackets: [membership] (got 'membership')"),
        ("privacy.report_only=", "must be a list in brackets: [] (got None)"),
        (
            "dataset=2026-01-01",
            """must be text; put in quotes what YAML reads as another type: '"2026-01-01"' (got""",
        ),
        ("dataset=1", """must be text; put in quotes what YAML reads as another type: '"1"' (got 1)"""),
        ("dataset=my shop", "may contain only letters (A-Z, a-z), digits, dots, underscores and hyphens, and must "),
        *(
            (f"source.delimiter={given}", f"must be one ASCII character, but no letter, digit, {rest} (got {given!r})")
            for given in ("ab", "::", "||", "x", "-", ".", "'", '"', "§")
            for rest in ("dot, minus, quote or line break",)
        ),
        ("source.delimiter='7'", "must be one ASCII character"),
        ("source.uri=a: b", "must be text; put in quotes what YAML reads as another type"),
        ("source.header=[]", "List should have at least 1 item"),
        ("source.sha256=abc", "must be 64 hexadecimal digits in lower case (got 'abc')"),
    ],
)
def test_how_a_value_is_written_is_told_in_words(override, told):
    with pytest.raises(ConfigError) as caught:
        load_config(None, [override])
    assert f"the command line: {override.partition('=')[0]}: {told}" in str(caught.value)
