"""The command `accent`: one of the commands of this package, which is imported only when it is asked for."""

import sys
from importlib import import_module

from accent.core.errors import run

COMMANDS = {
    "score": ("accent.score", "score recordings with the trained model"),
    "app": ("accent.page.serve", "serve the learner's page on this machine"),
    "compare": ("accent.compare", "is one run better than another?"),
    "cull": ("accent.cull", "propose clips with wrong labels or bad recordings for data/exclusions.csv"),
    "download": ("accent.download", "fetch Common Voice releases"),
    "synthesise": ("accent.synthesise", "make a release of synthetic speakers"),
    "lr-find": ("accent.lr_find", "draw the loss against the learning rate"),
}
WIDTH = max(map(len, COMMANDS))
HELP = "\n".join(
    ["usage: accent COMMAND ...", "", *(f"  {name:{WIDTH}}  {what}" for name, (_, what) in COMMANDS.items())]
    + ["", "accent COMMAND --help says more of each."]
)


def main() -> None:
    name, *rest = sys.argv[1:] or [""]
    if name in ("-h", "--help"):
        print(HELP)
    elif name not in COMMANDS:
        sys.exit(f"{HELP}\n\nerror: {f'no command {name!r}' if name else 'no command given'}")
    else:
        sys.argv = [f"accent {name}", *rest]
        run(lambda: import_module(COMMANDS[name][0]).main())


if __name__ == "__main__":
    main()
