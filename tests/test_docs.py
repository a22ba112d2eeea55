"""The documentation names what exists: links, anchors, commands, parameters, files; and messages that point to it."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser

from tests.figures import committed, read, wrong_figures

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAX_README_BYTES = 10_000
SHELL = ("sh", "bash")  # fenced blocks of other languages, or of none, hold what commands print
FENCE = re.compile(r"^ *```(\w*) *\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
CODE_FOLDERS = ("accent", "stages", "tests", "benchmarks", "docs", "pretraining", "web")
CODE_FILE = re.compile(rf"(?:{'|'.join(CODE_FOLDERS)})/[\w/.-]+\.(?:py|md|png|yaml|ts)")
BEGINNING = re.compile(r"(?:\w+=\S+ )*(?:python3? -m|accent|make|dvc|pytest|torchrun) ")
SUBSTITUTION = re.compile(r"\$\(([^)]*)\)")
ASSIGNMENT = re.compile(r"\w+=")
PLACEHOLDER = re.compile(r"\b[A-Z_]{3,}\b|\.\.\.")
POINTER = re.compile(r"(README|docs/[\w-]+\.md)(?:,? (?:section )?\\?[\"'](.+?)\\?[\"'])?")


class Command(NamedTuple):
    """A command of the documentation, as a shell splits it. In a sentence it need not have all its arguments."""

    page: str
    words: list[str]
    is_whole: bool = True

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: dict[str, int] = {}
    names = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
        names.add(f"{slug}-{found[slug]}" if slug in found else slug)
        found[slug] = found.get(slug, 0) + 1
    return names


def commands_in(page: Path) -> Iterator[Command]:
    """The commands of a page: the lines of its shell blocks, and the code spans that begin like one."""
    lines = [(span, False) for span in SPAN.findall(prose(page))]
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if language in SHELL:
            lines += [(line, True) for line in block.replace("\\\n", " ").splitlines()]
    for line, is_whole in lines:
        inner = SUBSTITUTION.findall(line)
        for part in re.split(r" && | \| ", SUBSTITUTION.sub("NAME", line)) + inner:
            if BEGINNING.match(part.strip()):
                words = shlex.split(part, comments=True)
                while ASSIGNMENT.match(words[0]):
                    del words[0]
                yield Command(page.name, words, is_whole)


COMMANDS = list({str(command): command for page in PAGES for command in commands_in(page)}.values())


@cache
def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*) *:", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def stages() -> dict[str, dict]:
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@cache
def params() -> tuple[dict, ...]:
    return tuple(yaml.safe_load((ROOT / name).read_text()) for name in ("params.yaml", "pretraining/params.yaml"))


def has_parameter(name: str) -> bool:
    """Whether one of the files of parameters has that dotted name, or an open dictionary on the way to it."""
    for document in params():
        node, open_dictionary = document, False
        for key in name.split("."):
            if not isinstance(node, dict) or key not in node:
                open_dictionary = name.startswith(("evaluate.probes.", "ingest.classes."))
                node = None
                break
            node = node[key]
        if node is not None or open_dictionary:
            return True
    return False


def module_file(name: str) -> Path | None:
    """The file of a module of the project that can be run, or None."""
    path = ROOT / name.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__main__.py") if file.is_file()), None)


@cache
def options(file: Path) -> set[str]:
    """The options that a module's argument parser knows; a command may have its parser in a module that it imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    files = [file]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and any(alias.name == "main" for alias in node.names):
            files += [found for found in [module_file(node.module)] if found]
    calls = (node for each in files for node in ast.walk(ast.parse(each.read_text(encoding="utf-8"))))
    known = {"-h", "--help"}
    for call in calls:
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "add_argument":
            known |= {word.value for word in call.args if isinstance(word, ast.Constant)}
    return known


def check_module(name: str, words: list[str]) -> str:
    """What is wrong with `python -m name words`, or ""."""
    file = module_file(name)
    if name.startswith("stages.") and file:
        as_in_dvc = shlex.split(stages()[name.removeprefix("stages.")]["cmd"], comments=True)
        return "" if as_in_dvc[3:] == words else f"dvc.yaml has {shlex.join(as_in_dvc)}"
    if file is None:
        known = name.split(".")[0] not in CODE_FOLDERS and find_spec(name.split(".")[0])
        return "" if known else f"there is no module {name}"
    return unknown_options(file, words)


def unknown_options(file: Path, words: list[str]) -> str:
    """The first of the words that is an option which the parser in the file does not know, in a sentence, or ""."""
    wrong = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options(file)]
    return f"{file.relative_to(ROOT)} has no option {wrong[0]}" if wrong else ""


def check_dvc(words: list[str], is_whole: bool) -> str:
    """What is wrong with `dvc words`, or ""."""
    try:
        parsed = get_main_parser().parse_args(words if is_whole else [*words, "--help"])
    except DvcParserError:
        return "dvc does not know this"
    except SystemExit:  # of --help
        return ""
    for setting in getattr(parsed, "set_param", None) or []:
        name = setting.split("=")[0].lstrip("+~").partition(":")[2] or setting.split("=")[0]
        if not has_parameter(name):
            return f"there is no parameter {name}"
    named = getattr(parsed, "targets", None) or []
    for target in named if isinstance(named, list) else [named]:
        if target not in stages() and not (ROOT / target).exists() and not PLACEHOLDER.search(target):
            return f"there is no stage or file {target}"
    return ""


def check(command: Command) -> str:
    """What is wrong with a command, or ""."""
    program, *words = command.words
    if program == "make":
        targets = [word for word in words if not ASSIGNMENT.match(word) and not word.startswith("-")]
        missing = set(targets) - make_targets()
        return f"make has no target {', '.join(sorted(missing))}" if missing else ""
    if program == "dvc":
        return check_dvc(words, command.is_whole)
    if program == "accent":
        file = module_file(f"accent.{words[0].replace('-', '_')}")
        return unknown_options(file, words[1:]) if file else f"there is no accent/{words[0].replace('-', '_')}.py"
    if program in ("python", "python3", "torchrun") and "-m" in words:
        name, *rest = words[words.index("-m") + 1 :]
        return check_module(name, rest)
    if program == "pytest":
        missing = [word for word in words if word.startswith("tests") and not (ROOT / word.partition("::")[0]).exists()]
        return f"there is no {missing[0]}" if missing else ""
    return ""


def test_readme_is_short() -> None:
    assert README.stat().st_size <= MAX_README_BYTES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name if page.parent == ROOT else f"docs-{page.name}")
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):  # the web, which a test does not ask
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(LINK.findall(prose(ROOT / "docs" / "README.md")))
    assert {page.name for page in PAGES if page.parent == ROOT / "docs"} - {"README.md"} <= listed


def test_there_are_commands() -> None:
    programs = {command.words[0] for command in COMMANDS}
    assert {"python", "accent", "make", "dvc"} <= programs
    assert len(COMMANDS) > 40


def test_the_package_installs_the_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "accent" in project.get("scripts", {})


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_commands_exist(command: Command) -> None:
    assert not check(command)


@pytest.mark.parametrize(
    "text",
    [
        "python -m accent.nothing take.wav",
        "python -m nothing_of_that_name",
        "python -m accent.score --no-such-flag take.wav",
        "accent nothing",
        "accent score --no-such-flag",
        "make nothing",
        "dvc nothing",
        "dvc repro --no-such-flag",
        "dvc repro no_such_stage",
        "dvc exp run -S train.no_such_parameter=1",
        "pytest tests/test_nothing.py",
        "torchrun --nnodes 2 -m stages.train data/spectrograms",
    ],
)
def test_a_wrong_command_is_found(text: str) -> None:
    assert check(Command("page", shlex.split(text)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name if page.parent == ROOT else f"docs-{page.name}")
def test_names_in_code_spans_exist(page: Path) -> None:
    """Files of the repository, and parameters, that a page names in a code span."""
    sections = "|".join(sorted({name for document in params() for name in document}))
    wrong = []
    for span in SPAN.findall(prose(page)):
        if CODE_FILE.fullmatch(span) and not PLACEHOLDER.search(span) and not (ROOT / span).exists():
            wrong.append(span)
        parameter = re.fullmatch(rf"((?:{sections})(?:\.[a-z_]+)+)(?:[:=].*)?", span)
        if parameter and not has_parameter(parameter[1]):
            wrong.append(span)
    assert not wrong


def test_messages_point_to_sections_that_exist() -> None:
    """What the code says of README and docs: the page is there, and has the section of that name."""
    wrong, pointers = [], 0
    files = [file for folder in ("accent", "stages", "benchmarks") for file in sorted((ROOT / folder).rglob("*.py"))]
    for file in [*files, ROOT / "params.yaml", ROOT / "Makefile", ROOT / "dvc.yaml"]:
        for name, section in POINTER.findall(file.read_text(encoding="utf-8")):
            page = README if name == "README" else ROOT / name
            pointers += bool(section) or name != "README"
            if not page.exists() or (section and section not in HEADING.findall(prose(page))):
                wrong.append(f"{file.relative_to(ROOT)}: {name} {section}")
    assert not wrong
    assert pointers


def reduced_graph(stages: dict[str, dict]) -> str:
    """The stages of a dvc.yaml as Mermaid, without the arrows that longer ways make superfluous."""
    outputs = {}
    for name, stage in stages.items():
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                outputs[next(iter(out)) if isinstance(out, dict) else out] = name
    direct = {name: set() for name in stages}
    for name, stage in stages.items():
        for dep in stage.get("deps", []):
            for out, maker in outputs.items():
                if dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/"):
                    direct[name].add(maker)

    def above(name: str) -> set[str]:
        return set().union(direct[name], *(above(each) for each in direct[name]))

    arrows = []
    for name in stages:
        needless = set().union(*(above(each) for each in direct[name]))
        arrows += [f"    {maker} --> {name}" for maker in stages if maker in direct[name] - needless]
    return "flowchart LR\n" + "\n".join(arrows) + "\n"


def test_readme_shows_the_graph() -> None:
    blocks = [block for language, block in FENCE.findall(README.read_text(encoding="utf-8")) if language == "mermaid"]
    expected = reduced_graph(stages())
    assert blocks == [expected], f"Paste this into the README:\n{expected}"


def test_figures_are_those_of_the_metrics() -> None:
    """Where this fails, `python -m tests.figures` writes the figures anew.

    The committed metrics count too: another kind of processor gives other last digits, and whoever runs `make repro`
    there need not write the pages anew.
    """
    wrong = wrong_figures()
    assert not wrong or not wrong_figures(committed), wrong


def test_a_page_says_what_the_audit_found() -> None:
    """That the confounds may do as well as the model, and that the grade orders the synthetic takes."""
    low, high = read("audit")["confounds"]["difference_95"]
    assert low < 0 < high
    low, _ = read("practice")["interval"]["pairs_ordered_rightly"]
    assert low > 0.5
