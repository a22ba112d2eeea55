"""`dvc.yaml` held to the code: what a stage imports stands in its deps, what it reads of params.yaml in its params."""

import ast
import graphlib
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from accent.training.checkpoint import numerics
from tests.helpers import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
NUMERICS_FILE = "requirements-numerics.txt"
MAX_LINES = 60  # of a stage's script


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> set[Path]:
    """The project's own modules that a module names in its imports."""
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    modules = {ROOT / (name.replace(".", "/") + ".py") for name in names}
    return {module for module in modules if module.exists()}


def imported(path: Path) -> set[Path]:
    """The project's own modules that a module imports, and those that they import."""
    found: set[Path] = set()
    waiting = {path}
    while waiting:
        new = imports(waiting.pop()) - found
        found |= new
        waiting |= new
    return found


def packages(path: Path) -> set[str]:
    """The packages of the modules that a module imports, and of those that they import."""
    return {str(module.relative_to(ROOT).parent) for module in imported(path)}


def code_deps(stage: dict, root: str) -> set[str]:
    """What a stage depends on of the project's code, without the folders that lead to the root."""
    found = (dep.removeprefix(root) for dep in stage["deps"])
    return {dep for dep in found if dep.startswith(("accent/", "stages/"))}


def sections_read(path: Path) -> set[str]:
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return {call.args[0].value for call in calls if getattr(call.func, "id", "") == "load_params"}


def flat(entries: list) -> set[str]:
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_s_deps_are_its_code_and_its_params_are_what_it_reads(name):
    script = ROOT / "stages" / f"{name}.py"
    assert code_deps(STAGES[name], "") == {f"stages/{name}.py", *packages(script)}
    assert {param.split(".")[0] for param in flat(STAGES[name].get("params", []))} == sections_read(script)


@pytest.mark.parametrize("script", sorted((ROOT / "stages").glob("*.py")), ids=lambda script: script.stem)
def test_a_stage_s_script_fits_a_screen(script):
    """Its computation belongs in a package, as functions that tests call and other stages may share."""
    assert len(script.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_has_a_line_that_introduces_it(name):
    assert STAGES[name]["desc"][0].isupper()
    assert len(STAGES[name]["desc"]) < 80  # where `dvc stage list` cuts it off


@pytest.mark.parametrize("name", STAGES)
def test_every_path_of_a_command_is_a_dep_or_an_out(name):
    stage = STAGES[name]
    words = shlex.split(stage["cmd"])
    assert words[:3] == ["python", "-m", f"stages.{name}"]
    declared = flat([*stage["deps"], *stage.get("outs", []), *stage.get("metrics", [])])
    for word in words[3:]:
        if word.startswith("--") or word.startswith(".state/"):
            continue
        assert any(path == word or path.startswith(f"{word}/") for path in declared), word


def test_the_libraries_that_numbers_depend_on_are_tracked_and_installed():
    """Those alone: an upgrade of the page's library trains nothing again."""
    lines = (ROOT / NUMERICS_FILE).read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned == numerics()
    assert {name for name, stage in STAGES.items() if NUMERICS_FILE in stage["deps"]} == {"train", "bank", "predict"}
    assert f"-r {NUMERICS_FILE}" in (ROOT / "requirements.txt").read_text().splitlines()
    assert not any("requirements.txt" in stage["deps"] for stage in STAGES.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "distil"])
def test_a_training_goes_on_only_with_the_code_that_it_began_with(name):
    """What goes into the checkpoint's fingerprint is all that the stage imports, wherever it lies, and nothing else."""
    code = f"import stages.{name}; from accent.training.checkpoint import loaded_code; print(*loaded_code(), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = {Path(path) for path in done.stdout.split() if not path.endswith("__init__.py")}
    named = {module for module in imported(ROOT / "stages" / f"{name}.py") if "accent" in module.parts}
    assert modules == named - {ROOT / "accent" / "core" / "cluster.py"}  # it says where parts are made, and loads late


@pytest.mark.parametrize("name", STAGES)
def test_no_parameter_reaches_a_shell(name):
    assert "${" not in STAGES[name]["cmd"]


# A package imports only from those before it. The modules beside the packages are the commands.
PACKAGES = [
    *("core", "audio", "corpus", "network", "training", "grading"),
    *("scoring", "evaluation", "pretraining", "report", "page"),
]


@pytest.mark.parametrize("path", sorted((ROOT / "accent").glob("*/*.py")), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_package_imports_only_from_those_above_it(path):
    package = path.parent.name
    modules = [node.module for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.module]
    ours = {module.split(".")[1] for module in modules if module.startswith("accent.")}
    allowed = PACKAGES[: PACKAGES.index(package) + 1]
    assert ours <= set(allowed), f"{path} imports from {sorted(ours - set(allowed))}"


def test_no_circle_of_imports():
    """`graphlib.CycleError` has the modules of the circle."""
    graphlib.TopologicalSorter({path: imports(path) for path in (ROOT / "accent").rglob("*.py")}).prepare()


def test_every_script_is_a_stage_and_every_section_is_read():
    pretraining = yaml.safe_load((ROOT / "pretraining" / "dvc.yaml").read_text())["stages"]
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == {*STAGES, *pretraining}
    for folder, stages in (("", STAGES), ("pretraining", pretraining)):
        read = set().union(*(sections_read(ROOT / "stages" / f"{name}.py") for name in stages))
        assert set(yaml.safe_load((ROOT / folder / "params.yaml").read_text())) == read


def test_pretraining_names_what_it_reads():
    folder = ROOT / "pretraining"
    for name, stage in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"].items():
        assert "${" not in stage["cmd"]
        assert code_deps(stage, "../") == {f"stages/{name}.py", *packages(ROOT / "stages" / f"{name}.py")}
        assert all((folder / dep).exists() for dep in stage["deps"] if dep.startswith("../"))
        params = {param.split(".")[0] for param in stage["params"]}
        assert params == sections_read(ROOT / "stages" / f"{name}.py"), name


def test_what_plots_draw_is_an_output():
    outs = set().union(*(flat(stage.get("outs", [])) for stage in STAGES.values()))
    for plot in PIPELINE["plots"]:
        for path in [plot] if isinstance(plot, str) else next(iter(plot.values()))["y"]:
            assert any(path.startswith(f"{out}/") for out in outs), path


def test_data_is_not_ignored_as_a_whole():
    """It would break `dvc exp run --queue` and `--temp`; DVC writes data/.gitignore itself."""
    ignored = (ROOT / ".gitignore").read_text().split()
    assert not {"data", "data/", "/data", "/data/", "models/", "/models/"} & set(ignored)


@pytest.mark.slow
def test_scoring_imports_nothing_slow_that_it_does_not_need():
    slow = {"fastai", "torchvision", "pandas", "pyarrow", "sklearn", "matplotlib", "captum", "librosa"}
    code = f"import sys, accent.score; print(sorted({slow} & {{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
