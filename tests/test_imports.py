"""House rules: who may import what, what loads when, and how things are named."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "fascicle"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOCS = ROOT / "docs"
TORCH_FREE = ("errors", "record", "labels", "io", "signal", "synth", "metrics", "decode")
IMPORTED_AS = {"scikit-learn": "sklearn"}
HEAVY = (
    "sklearn",
    "torch",
    "scipy.signal",
    "matplotlib",
    "wfdb",
    "pandas",
    "pydantic",
    "safetensors",
)


def run_python(code: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def loaded_after(code: str, names: tuple[str, ...]) -> set[str]:
    shown = run_python(f"{code}\nimport sys\nprint('LOADED', *({names!r} & sys.modules.keys()))")
    return set(shown.rpartition("LOADED")[2].split())


def imported_libraries(path: Path) -> set[str]:
    """Return the first names of what a module imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def required(listed: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", item, maxsplit=1)[0] for item in listed}


def test_import_contracts_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import sys, fascicle.cli\n"
        "sys.argv = ['fascicle', '--help']\n"
        "try:\n    fascicle.cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
    )
    assert loaded_after(code, HEAVY) == set()


@pytest.mark.parametrize("room", TORCH_FREE)
def test_room_does_not_load_torch(room: str) -> None:
    modules = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in MODULES
        if path.relative_to(PACKAGE).with_suffix("").parts[0] == room
    ]
    assert modules
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    assert loaded_after(code, ("torch",)) == set()


def test_package_opens_its_doors_late() -> None:
    assert loaded_after("import fascicle", ("fascicle.io", "torch", "numpy")) == set()
    assert loaded_after("import fascicle; fascicle.read", ("fascicle.io", "torch")) == {
        "fascicle.io"
    }
    with pytest.raises(subprocess.CalledProcessError):
        run_python("import fascicle; fascicle.write")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_has_a_docstring_and_a_telling_name(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert path.stem not in {
        "utils",
        "util",
        "misc",
        "helpers",
        "helper",
        "base",
        "manager",
        "core",
    }


def test_imported_libraries_are_declared_and_declared_ones_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    imported = set().union(*map(imported_libraries, MODULES))
    third_party = imported - set(sys.stdlib_module_names) - {"fascicle"}
    optional = required(project["optional-dependencies"]["train"])
    declared = {IMPORTED_AS.get(name, name) for name in required(project["dependencies"])}
    assert third_party - optional == declared


def test_constraints_pin_everything_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    listed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    names = required([*listed, *(item for part in extras.values() for item in part)])
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    assert pins[0].startswith("torch==")
    assert names - {"fascicle"} <= {pin.partition("==")[0] for pin in pins}


def test_every_page_is_listed_and_every_listed_page_exists() -> None:
    listed = re.findall(r"\]\(([\w/]+\.md)\)", (DOCS / "README.md").read_text(encoding="utf-8"))
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"README.md"}
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *DOCS.rglob("*.md")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    assert [link for link in targets if not (page.parent / link).exists()] == []
