"""The documents name only what there is: files, headings, settings, modules, commands and their options."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from flows.cli import app
from sdrm_core.config import PipelineConfig
from sdrm_core.config.section import Section

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "deployments/README.md"]
COMMANDS = get_command(app).commands


def settings(model=PipelineConfig, prefix=""):
    """Yield the dotted name of every setting and of every section."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from settings(field.annotation, f"{prefix}{name}.")


SETTINGS = set(settings())
SECTIONS = {name for name in SETTINGS if any(other.startswith(f"{name}.") for other in SETTINGS)}

# Fields of a manifest, called like settings.
PUBLISHED = {f"privacy.{name}" for name in ("verdict", "compared", "gates", "accepted_inconclusive")}


def headings(path):
    """Return the anchors of a document, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestDocument:
    def test_every_link_leads_somewhere(self, path):
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            assert there.exists(), target
            assert not anchor or anchor in headings(there), target

    def test_every_setting_exists(self, path):
        named = re.findall(r"(?:`|--set )([a-z_]+(?:\.[a-z_]+)+)[`=]", path.read_text(encoding="utf-8"))
        of_sections = {name for name in named if name.partition(".")[0] in SECTIONS}
        files = {name for name in of_sections if name.endswith((".html", ".json", ".py"))}
        assert of_sections - files <= SETTINGS | PUBLISHED

    def test_every_module_exists(self, path):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`((?:tests|tasks|flows|sdrm_core|deployments)/[\w/]+(?:\.\w+|/))`", text):
            assert (ROOT / name).exists(), name
        for name in re.findall(r"python -m ((?:tests|flows|deployments)[\w.]+)", text):
            assert (ROOT / f"{name.replace('.', '/')}.py").exists(), name

    def test_every_option_exists(self, path):
        lines = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
        for name, rest in re.findall(r"\bsdrm (\w+)\b([^\n`]*)", lines):
            options = {option for parameter in getattr(COMMANDS.get(name), "params", ()) for option in parameter.opts}
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)) <= options, name
