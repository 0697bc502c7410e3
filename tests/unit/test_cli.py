from unittest.mock import Mock

import pytest

from flows import cli


def test_an_interruption_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(cli, "app", Mock(side_effect=SystemExit(cli.INTERRUPTED)))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "sdrm: interrupted; the same command takes over what is finished\n"
