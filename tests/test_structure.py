"""The shape of the project: who may import whom, and how large a thing may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("bench", "blueprints", "commands", "domain", "migrations", "tests", "tools")
TOP = (*sorted(path.name for path in ROOT.glob("*.py")), *FOLDERS)
OURS = {name.removesuffix(".py") for name in TOP}
PRODUCT = tuple(sorted(set(TOP) - {"bench", "tests"}))

# What stands under everything, and may be imported from anywhere in the domain.
GROUND = (
    "database",
    "driver",
    "domain.keys",
    "domain.kms",
    "domain.epochs",
    "domain.sealed",
    "domain.apart",
    "domain.holding",
    "domain.dates",
    "domain.locales",
)
# What each package of the domain knows beside itself and the ground.
KNOWS: dict[str, tuple[str, ...]] = {
    "domain.ledger": (),
    "domain.delivery": (),
    "domain.subjects": ("domain.ledger",),
    "domain.consent": ("domain.subjects", "domain.ledger"),
    "domain.identity": ("domain.subjects", "domain.ledger", "domain.delivery"),
    "domain.accounting": ("domain.consent",),
    "domain.tips": ("domain.consent",),
    "domain.analytics": ("domain.subjects", "domain.ledger", "domain.consent"),
    "domain.marketing": (
        "domain.subjects",
        "domain.ledger",
        "domain.delivery",
        "domain.consent",
        "domain.identity",
    ),
    "domain.rights": ("domain",),
}
# What views and commands share: the modules that stand beside app.py. None of it knows a flow.
SHARED = ("domain", *sorted(path.stem for path in ROOT.glob("*.py") if path.stem != "app"))
# What each part outside the domain's packages may import of the project.
MAY: dict[str, tuple[str, ...]] = {
    "database": ("driver", "write_turn"),
    "driver": (),
    "write_turn": (),
    "settings": ("domain.keys", "domain.epochs", "domain.ledger"),
    "domain": GROUND,
    "migrations": ("database", "domain", "settings", "migrations"),
    "commands": (*SHARED, "migrations", "commands"),
    "app": (*SHARED, "blueprints", "commands", "migrations"),
    "tools": ("tools",),
}
WEB = ("flask", "flask_babel", "flask_login", "flask_wtf", "werkzeug", "wtforms", "jinja2")


def _files(*tops: str) -> list[Path]:
    paths = [ROOT / top for top in tops or TOP]
    return [
        file
        for path in paths
        for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))
    ]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imports(path: Path) -> set[str]:
    """Every module that a file imports; a name from a package counts as a module of it."""
    package = _module(path) if path.name == "__init__.py" else _module(path).rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            found |= {f"{source}.{name.name}" for name in node.names}
    return found


def _within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _allowed(module: str) -> tuple[str, ...]:
    """What a module may import of the project."""
    parts = module.split(".")
    unit = ".".join(parts[:2])
    if parts[0] == "blueprints":
        return (*SHARED, unit)
    if unit in KNOWS:
        return (unit, *GROUND, *KNOWS[unit])
    return MAY.get(parts[0], SHARED)


def test_the_domain_loads_no_web_framework() -> None:
    """The rules can be used, tested and audited without a web server in sight."""
    modules = [_module(path) for path in _files("domain")]
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*sorted(set(sys.modules) & set({WEB!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", _files(*PRODUCT), ids=_module)
def test_imports_run_one_way(path: Path) -> None:
    """app → blueprints → domain → database, and the domain's packages as DESIGN.md draws them."""
    module = _module(path)
    ours = {name for name in _imports(path) if name.partition(".")[0] in OURS}
    wrong = sorted(name for name in ours if not _within(name, *_allowed(module)))
    assert not wrong, f"{module} may not import {', '.join(wrong)}"


def test_every_package_of_the_domain_has_its_place() -> None:
    """A new package is drawn into the picture before it imports anything."""
    packages = {f"domain.{path.parent.name}" for path in (ROOT / "domain").glob("*/__init__.py")}
    assert packages == set(KNOWS)


def test_blueprints_do_not_import_each_other() -> None:
    """Flows meet in the domain, never in each other's views."""
    for path in _files("blueprints"):
        mine = ".".join(_module(path).split(".")[:2])
        others = [
            name
            for name in _imports(path)
            if _within(name, "blueprints") and not _within(name, mine)
        ]
        assert not others, f"{_module(path)} imports {', '.join(others)}"


def test_nothing_imports_the_composition_root() -> None:
    """app.py puts the parts together, so no part can know it; only tests do."""
    for path in _files(*PRODUCT):
        found = [name for name in _imports(path) if _within(name, "app")]
        assert not found, f"{_module(path)} imports app"


@pytest.mark.parametrize("path", _files(), ids=_module)
def test_nothing_grows_too_large(path: Path) -> None:
    """No file is over 400 lines, no function over 50, so each can be read in one go."""
    source = path.read_text("utf-8")
    assert source.count("\n") <= 400
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    large = [
        f"{node.name} has {length} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, functions)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > 50
    ]
    assert not large


def test_nothing_is_left_to_do() -> None:
    """What is not done is an issue, not a comment."""
    mark = "TO" + "DO"
    texts = [*_files(), ROOT / "Makefile", ROOT / "pyproject.toml"]
    for folder in ("templates", "content", "static", "docs", "translations"):
        texts += [path for path in (ROOT / folder).rglob("*") if path.suffix in _TEXT]
    left = [str(path.relative_to(ROOT)) for path in texts if mark in path.read_text("utf-8")]
    assert not left


_TEXT = {".html", ".txt", ".css", ".js", ".md", ".toml", ".po", ".svg"}
