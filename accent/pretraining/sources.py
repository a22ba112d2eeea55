"""Sources of a trunk, for its card: releases, locales, clips, hours, licences, and the commit."""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from accent.core.errors import InputError
from accent.corpus.common_voice import ClassFilter, read_releases


def release_of(releases: Path, clips: pd.DataFrame) -> pd.Series:
    """The name of the release in the folder `releases` that each clip comes from; `clips` has `clip_id`."""
    with tempfile.TemporaryDirectory() as scratch:
        sources = read_releases(releases, [ClassFilter(locale="")], Path(scratch) / "spool")
        names = {
            path.rsplit(".", 1)[0]: Path(source.where.split(": ")[-1]).parent.name
            for source in sources
            for path in source.rows["path"]
        }
    return clips["clip_id"].map(names).rename("release")


def corpora(clips: pd.DataFrame, releases: pd.Series, licences: Mapping[str, str]) -> list[dict]:
    """One entry a release about those of its clips that took part, which `releases` names.

    `clips` has `label` (the locale) and `duration_s`. Raises `InputError` where `licences` lacks a release.
    """
    if strangers := sorted(set(releases) - set(licences)):
        raise InputError(f"params.yaml: listen.licences: nothing for the release {strangers[0]}. State its licence")
    return [
        {
            "release": release,
            "locales": sorted(rows["label"].unique()),
            "clips": len(rows),
            "hours": round(float(rows["duration_s"].sum()) / 3600, 2),
            "licence": licences[release],
        }
        for release, rows in clips.groupby(releases)
    ]


def current_commit() -> str:
    """The Git commit of the code that runs, "" outside a repository."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
