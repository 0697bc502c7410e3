"""Prefect's pages are beside the work, not in its way."""

from unittest.mock import Mock

import httpx

from tasks import pages


def test_a_server_that_is_down_stops_nothing(monkeypatch, caplog):
    monkeypatch.setattr(pages, "create_markdown_artifact", Mock(side_effect=httpx.ConnectError("no server")))
    monkeypatch.setattr(pages.LOG, "propagate", True)
    pages.show("gate-matrix", "# PASS", description="matrix: PASS")
    assert "gate-matrix could not be shown in Prefect's pages (no server)" in caplog.text
