"""What a stage repeats: only what can succeed on repetition."""

import errno

import httpx
import pytest
from prefect.serializers import JSONSerializer
from prefect.states import Failed

from sdrm_core.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    GateFailed,
    Problem,
    SourceUnreachableError,
    TrainingError,
)
from tasks.stage import is_transient

REQUEST = httpx.Request("GET", "https://example.org/log.csv")


def http_error(status):
    return httpx.HTTPStatusError("no", request=REQUEST, response=httpx.Response(status, request=REQUEST))


@pytest.mark.parametrize(
    "error",
    [
        TimeoutError("slow"),
        ConnectionResetError("reset"),
        OSError(errno.EIO, "flaky disk"),
        httpx.ConnectError("refused"),
        SourceUnreachableError(Problem("a", "b", "c")),
        httpx.ReadTimeout("slow"),
        http_error(503),
        http_error(429),
        http_error(408),
    ],
)
def test_a_flaky_source_is_asked_again(error):
    assert is_transient(None, None, Failed(data=error))


@pytest.mark.parametrize(
    "error",
    [
        DataError(Problem("a", "b", "c")),
        ConfigError("x"),
        TrainingError("x"),
        ArtifactError("x"),
        GateFailed("x", gate="raw"),
        FileNotFoundError(errno.ENOENT, "gone"),
        PermissionError(errno.EACCES, "no"),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EDQUOT, "quota"),
        OSError(errno.EFBIG, "too large for the file system"),
        OSError(errno.EROFS, "read-only"),
        FileExistsError(errno.EEXIST, "in the way"),
        OSError(errno.ENOTEMPTY, "in the way"),
        OSError(errno.ENAMETOOLONG, "long"),
        OSError(errno.ELOOP, "links in a circle"),
        http_error(404),
        ValueError("a bug"),
    ],
)
def test_what_would_fail_again_is_not(error):
    assert not is_transient(None, None, Failed(data=error))


@pytest.mark.parametrize(
    "error", [DataError([Problem("a", "b", "c"), Problem("d", "e", "f")]), GateFailed("x", gate="raw")]
)
def test_errors_can_be_read_back_from_where_prefect_keeps_them(error):
    serializer = JSONSerializer()
    again = serializer.loads(serializer.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
