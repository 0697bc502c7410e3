"""Named data sets fetched from a real HTTP server that behaves well, and in every way badly."""

import dataclasses
import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from sdrm_core.config import SourceConfig
from sdrm_core.data import catalogue
from sdrm_core.data.download import fetch
from sdrm_core.data.loading import load_interactions
from sdrm_core.errors import DataError, SourceUnreachableError

RATINGS = b"".join(b"%d\t%d\t%d\t%d\n" % (n % 50, n % 31, n % 5 + 1, n) for n in range(20_000))


def zipped(member: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ml-100k/README", "terms of use")
        archive.writestr(member, content)
    return sink.getvalue()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


ARCHIVE = zipped("ml-100k/u.data", RATINGS)


class _Handler(BaseHTTPRequestHandler):
    """/archive and /plain are right; /moved leads there; /short breaks off; /flaky fails first; any number fails."""

    requests: list[str]

    def do_GET(self):
        self.requests.append(self.path)
        name = self.path.strip("/")
        if name.isdigit():
            self.send_error(int(name))
        elif name == "flaky" and self.requests.count("/flaky") == 1:
            self.send_error(503)
        elif name == "moved":
            self.send_response(302)
            self.send_header("Location", "/archive")
            self.end_headers()
        else:
            body = RATINGS if name == "plain" else ARCHIVE
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if name == "short" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Handler", (_Handler,), {"requests": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        running.seen = handler.requests
        running.url = f"http://127.0.0.1:{running.server_port}"
        yield running
        running.shutdown()
        thread.join()


def archive_at(url, **changes):
    return dataclasses.replace(
        catalogue.CATALOGUE["movielens-100k"],
        **{"url": url, "sha256": sha256(ARCHIVE), "member_sha256": sha256(RATINGS)} | changes,
    )


def plain_at(url, **changes):
    return archive_at(url, **{"sha256": sha256(RATINGS), "member": None, "member_sha256": None} | changes)


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["archive", "moved"])
def test_an_archives_member_is_fetched_and_kept(server, tmp_path, path):
    dataset = archive_at(f"{server.url}/{path}")
    file = fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert file.read_bytes() == RATINGS
    assert files_in(tmp_path) == [file]


def test_a_plain_file_is_fetched_and_kept(server, tmp_path):
    dataset = plain_at(f"{server.url}/plain")
    file = fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert file.read_bytes() == RATINGS
    assert files_in(tmp_path) == [file]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"sha256": "0" * 64}, "expected is 000"),
        ({"member_sha256": "0" * 64}, "expected is 000"),
        ({"member": "ml-100k/other"}, "cannot be taken out of the ZIP archive"),
    ],
)
def test_other_bytes_than_expected_are_not_kept(server, tmp_path, changes, what):
    dataset = archive_at(f"{server.url}/archive", **changes)
    with pytest.raises(DataError, match=what) as error:
        fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert "source.sha256" in error.value.problems[0].remedy
    assert files_in(tmp_path) == []


def test_a_page_instead_of_the_archive_is_not_kept(server, tmp_path):
    dataset = archive_at(f"{server.url}/plain", sha256=sha256(RATINGS))
    with pytest.raises(DataError, match="cannot be taken out of the ZIP archive"):
        fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert files_in(tmp_path) == []


def test_an_answer_cut_short_is_not_kept_and_worth_a_retry(server, tmp_path):
    dataset = archive_at(f"{server.url}/short")
    with pytest.raises(SourceUnreachableError) as error:
        fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert isinstance(error.value.__cause__, httpx.TransportError)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_failing_server_is_worth_a_retry(server, tmp_path, status):
    dataset = archive_at(f"{server.url}/{status}")
    with pytest.raises(SourceUnreachableError, match=str(status)) as error:
        fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert isinstance(error.value.__cause__, httpx.HTTPStatusError)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_not_worth_a_retry(server, tmp_path, status):
    dataset = archive_at(f"{server.url}/{status}")
    with pytest.raises(DataError, match=f"the server answers {status}"):
        fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert files_in(tmp_path) == []


def test_no_server_is_worth_a_retry(tmp_path):
    dataset = archive_at("http://127.0.0.1:9/archive")
    with pytest.raises(SourceUnreachableError) as error:
        fetch(dataset, cache=tmp_path, sha256=dataset.sha256)
    assert isinstance(error.value.__cause__, httpx.ConnectError)
    assert str(error.value) == (
        f"{dataset.url}: could not be fetched ({error.value.__cause__}). "
        "Try again later, or fetch it by hand and name the file in source.uri"
    )


class TestTheWholeWay:
    """From the configuration to the table, by the name of a data set."""

    @pytest.fixture
    def load(self, server, tmp_path, monkeypatch):
        def load(path="archive", **settings):
            monkeypatch.setitem(catalogue.CATALOGUE, "movielens-100k", archive_at(f"{server.url}/{path}"))
            source = SourceConfig(uri="movielens-100k", **settings)
            return load_interactions(source, cache=tmp_path / "cache", seed=0)

        return load

    def test_it_is_fetched_once_and_read_without_further_settings(self, load, server):
        table, facts = load(download=True)
        assert table.num_rows == facts.rows == 20_000
        assert table.schema.names == ["user_id", "item_id", "rating", "timestamp"]
        assert (facts.uri, facts.sha256) == ("movielens-100k", sha256(RATINGS))
        assert load(download=False)[1] == facts
        assert server.seen == ["/archive"]

    def test_a_retry_after_a_failure_succeeds(self, load):
        with pytest.raises(SourceUnreachableError):
            load("flaky", download=True)
        assert load("flaky", download=True)[0].num_rows == 20_000

    def test_a_damaged_file_in_the_cache_is_fetched_again(self, load, server, tmp_path):
        load(download=True)
        [file] = files_in(tmp_path / "cache")
        file.write_bytes(RATINGS[:-9])
        with pytest.raises(DataError, match=r"source\.download is false"):
            load(download=False)
        assert load(download=True)[1].sha256 == sha256(RATINGS)
        assert server.seen == ["/archive", "/archive"]

    def test_the_users_own_digest_is_the_one_that_counts(self, load):
        with pytest.raises(DataError, match="expected is 111"):
            load(download=True, sha256="1" * 64)
        assert load(download=True, sha256=sha256(ARCHIVE))[0].num_rows == 20_000
