"""requirements.txt, as pyproject.toml has it: `python -m tests.requirements` writes the file."""

import tomllib

from accent.training.checkpoint import NUMERICS
from tests.helpers import ROOT

PATH = ROOT / "requirements.txt"
HEADER = """\
# What the project uses itself, from pyproject.toml by `python -m tests.requirements`. constraints.txt pins what these
# bring along.
-c constraints.txt
-r requirements-numerics.txt
"""


def pins(extra: str = "") -> list[str]:
    """What pyproject.toml pins for scoring, or for an extra of that name without what it includes of others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return [pin for pin in found if not pin.startswith("accent[")]


def requirements() -> str:
    """The text of requirements.txt: scoring and all extras but the pre-training's, without the numerics."""
    text = HEADER
    for extra in ("", "plot", "pipeline", "cluster", "dev"):
        listed = [pin for pin in pins(extra) if pin.split("==")[0] not in NUMERICS]
        text += f"\n# {extra or 'accent score'}\n" + "\n".join(listed) + "\n"
    return text


if __name__ == "__main__":
    PATH.write_text(requirements())
