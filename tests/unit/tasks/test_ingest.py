"""A run's digest, which is published, is of its configuration and input, and of the key where there is one."""

import hashlib

from sdrm_core.config import PipelineConfig
from tasks.ingest import open_run


def test_the_digest_of_a_run_with_secret_roles_confirms_no_guess_at_its_log(tmp_path):
    config = PipelineConfig.model_validate({"paths": {"work": tmp_path / "work", "releases": tmp_path / "releases"}})
    secrets = (None, b"0123456789abcdef", b"0123456789abcdeg")
    runs = [open_run(config, source_sha256="a" * 64, secret=secret) for secret in secrets]
    assert runs[0].digest == hashlib.sha256(f"{config.result_digest()} {'a' * 64}".encode()).hexdigest()
    assert len({run.digest for run in runs}) == len({run.directory for run in runs}) == 3
    assert open_run(config, source_sha256="a" * 64, secret=secrets[1]) == runs[1]
