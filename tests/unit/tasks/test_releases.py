import pytest

from sdrm_core.errors import ArtifactError
from tasks.releases import latest_release
from tests.conftest import small_night


@pytest.fixture
def config(tmp_path):
    """Return the configuration of a data set with two releases, the later one being the latest."""
    config = small_night(tmp_path)
    folder = config.paths.releases / config.dataset
    for version in ("2026-01-01", "2026-01-02"):
        (folder / version).mkdir(parents=True)
        (folder / version / "manifest.json").write_text("{}")
    (folder / "latest.json").write_text('{"version": "2026-01-02"}')
    return config


def test_the_latest_release_is_the_one_named(config):
    assert latest_release(config).name == "2026-01-02"


def test_where_the_latest_is_gone_it_is_the_newest_that_is_left(config):
    (latest_release(config) / "manifest.json").unlink()
    assert latest_release(config).name == "2026-01-01"
    (latest_release(config) / "manifest.json").unlink()
    assert latest_release(config) is None


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_pointer_says_what_to_do(config, content):
    (latest_release(config).parent / "latest.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"latest\.json does not name a release .* Remove it"):
        latest_release(config)
