"""The package: one list of pinned libraries, one command, and a wheel that works anywhere."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from accent.__main__ import COMMANDS
from tests.helpers import ROOT, run
from tests.requirements import PATH, pins, requirements

MODULES = {"PyYAML": "yaml", "scikit-learn": "sklearn"}  # distributions whose module has another name


def lines(path: Path) -> set[str]:
    return {line for line in path.read_text().splitlines() if line and not line.startswith(("#", "-"))}


def test_the_lists_of_libraries_say_the_same():
    assert PATH.read_text() == requirements(), "run `python -m tests.requirements`"
    everything = {pin for extra in ("", "plot", "pipeline", "cluster", "dev") for pin in pins(extra)}
    assert lines(PATH) | lines(ROOT / "requirements-numerics.txt") == everything
    assert lines(ROOT / "pretraining" / "requirements.txt") == set(pins("pretrain"))


def test_scoring_needs_no_more_than_its_dependencies():
    """None of the extras' libraries is imported by `accent score`, and each of its own is."""
    names = {
        extra: {MODULES.get(name, name) for name, _ in (pin.split("==") for pin in pins(extra))}
        for extra in ("", "pipeline")
    }
    code = "import sys, accent.score; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(run(sys.executable, "-c", code, cwd=ROOT).stdout.split())
    assert names[""] <= loaded
    assert not names["pipeline"] & loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_with_a_main(name):
    assert "def main()" in (ROOT / (COMMANDS[name][0].replace(".", "/") + ".py")).read_text()


def test_the_command_lists_its_commands_at_once_and_names_a_wrong_one(tmp_path):
    accent = [sys.executable, "-X", "importtime", "-m", "accent"]
    done = run(*accent, "--help", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert all(name in done.stdout for name in COMMANDS)
    assert "torch" not in done.stderr
    done = run(*accent, "scor", cwd=tmp_path, ok=False, PYTHONPATH=str(ROOT))
    assert done.stderr.endswith("error: no command 'scor'\n")


def test_a_library_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "pandas.py").write_text("raise ModuleNotFoundError('no', name='pandas')")
    path = f"{tmp_path}:{ROOT}"
    done = run(sys.executable, "-m", "accent", "cull", "x", cwd=tmp_path, ok=False, PYTHONPATH=path)
    assert done.stderr.startswith("error: pandas: not installed")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = run(
        "git", "ls-files", "-co", "--exclude-standard", "accent", "pyproject.toml", "README.md", "LICENSE", cwd=ROOT
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source]
    done = subprocess.run(list(map(str, build)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("accent-*.whl"))


def test_a_wheel_has_all_modules_and_the_templates(wheel):
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if name.startswith("accent/")}
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "accent").rglob("*.py")}
    assert there <= packed
    assert "accent/report/templates/report.html" in packed


def test_the_command_works_outside_the_folder(wheel, tmp_path):
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as file:
        file.extractall(target)
    done = run(sys.executable, "-m", "accent", "score", "--help", cwd=tmp_path, PYTHONPATH=str(target))
    assert done.stdout.startswith("usage: accent score [-h] [--model MODEL]")
    done = run(sys.executable, "-m", "accent", "score", "x.wav", cwd=tmp_path, ok=False, PYTHONPATH=str(target))
    assert done.stderr == "error: models/accent.safetensors: no such file. 'dvc repro' or 'dvc pull' brings the model\n"
