"""Selection of the clips that take part: one row a clip, with its class. A draw does not depend on the other clips."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
from joblib import delayed
from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt, PositiveInt
from tqdm import tqdm

from accent.core.errors import UNPRINTABLE, InputError
from accent.core.parallel import in_parallel
from accent.core.params import Fraction, Seed, params
from accent.core.parts import Rejects, check_rejects, count_kinds, part_name
from accent.core.tables import write_table
from accent.corpus.common_voice import COLUMNS, MAX_CLIP_BYTES, ClassFilter, Source, assign_classes

EVERY = "*"  # stands for `classes: all`: every clip, the locale being its label
PLACE = ["container", "offset", "size"]  # of a clip's bytes, as `Source.files` has them


def _every_locale(classes: object) -> object:
    return {EVERY: {"locale": ""}} if classes == "all" else classes


def _check_classes(classes: dict[str, ClassFilter]) -> dict[str, ClassFilter]:
    if not classes:
        raise ValueError("no class is declared, at least two are needed. Declare them")
    for name in classes:
        if name != name.strip() or not name or UNPRINTABLE.search(name):
            raise ValueError(
                f"{name!r} is no name for a class. Give it one of printable characters, no space around them"
            )
    return classes


@params
class IngestParams:
    releases: Path
    classes: Annotated[dict[str, ClassFilter], BeforeValidator(_every_locale), AfterValidator(_check_classes)]
    max_clips_per_class: NonNegativeInt
    max_clips_per_speaker: NonNegativeInt
    seed: Seed
    clips_per_part: PositiveInt
    max_reject_fraction: Fraction

    @property
    def filters(self) -> list[ClassFilter]:
        """What is read of the releases."""
        return list(self.classes.values())

    def labels(self, rows: pd.DataFrame) -> pd.Series:
        """The class name of each row, "" for none; with `classes: all` it is the locale."""
        return rows["locale"] if EVERY in self.classes else assign_classes(rows, self.classes, "ingest.classes")


@params
class Bar:
    """What a test has to show before a model gives verdicts; the last two are lower ends of the 95% intervals."""

    min_speakers: NonNegativeInt
    min_roc_auc: Fraction
    min_balanced_accuracy: Fraction


@params
class EvaluateParams:
    resamples: PositiveInt
    seed: Seed
    probes: dict[str, ClassFilter] = Field(default_factory=dict)
    second_source: Path
    second_source_clips: PositiveInt
    bar: Bar


def check_names(classes: Collection[str], probes: Collection[str]) -> None:
    """Raise `InputError` where a probe has the name of a class: their clips are told apart by it."""
    if both := sorted(set(classes) & set(probes)):
        raise InputError(f"params.yaml: evaluate.probes.{both[0]}: a class has that name too. Give the probe another")


def select_clips(
    sources: list[Source], params: IngestParams, probes: dict[str, ClassFilter], exclusions: Mapping[str, str]
) -> tuple[pd.DataFrame, Rejects, Rejects]:
    """The clips of all classes and probes in the order of `clip_id`; the rows that were rejected; what was passed over.

    The table has `clip_id`, `label`, Common Voice's columns, and `container`, `offset`, `size`. A clip of a probe is
    in no class, whatever the classes' filters say. If several releases have a clip, the newest row and the newest file
    count. Three kinds are passed over and are no fault of the input: a clip's other rows, clips that stand in
    `exclusions` with a reason, and files that no row names.
    Raises `InputError` for too many rejects (of the rows from which clips are drawn) or a class without a clip.
    """
    rejects = [reject for source in sources for reject in source.rejects]
    passed_over = []
    for source in sources:
        reason = f"no row: validated.tsv of {source.where} does not name it"  # one text for perhaps a million files
        unnamed = source.files["path"][~source.files["path"].isin(source.rows["path"])]
        passed_over += [(name, reason) for name in unnamed]
    releases = sorted({source.release for source in sources})
    tables = [
        source.rows.merge(source.files, on="path", how="left").assign(release=releases.index(source.release))
        for source in sources
    ]
    rows = pd.concat(tables)
    rows["missing"] = rows["container"].isna()
    rows = rows.sort_values(["release", "missing"], ascending=[False, True], kind="stable", ignore_index=True)
    rows.insert(0, "clip_id", rows["path"].str.rsplit(".", n=1).str[0])
    check_rejects(rejects, len(rows) + len(rejects), params.max_reject_fraction, "ingest")
    try:
        probed = assign_classes(rows, probes, "evaluate.probes")
        labels = params.labels(rows)
    except InputError as error:
        if not rejects:
            raise
        raise InputError(f"{error}; {len(rejects):,} rows were rejected before ({count_kinds(rejects)})") from None
    rows.insert(1, "label", probed.where(probed != "", labels))
    older = rows["release"] < rows.groupby("clip_id")["release"].transform("max")
    superseded = rows["clip_id"][older & (rows["label"] != "")]
    passed_over += [(clip, "duplicate: a newer release names it too") for clip in superseded]
    files = rows.loc[~rows["missing"], ["clip_id", *PLACE]].drop_duplicates("clip_id")
    rows = rows[~older & (rows["label"] != "")].drop(columns=PLACE).merge(files, on="clip_id", how="left")
    classes = sorted(set(rows["label"]) - set(probes)) if EVERY in params.classes else list(params.classes)
    # An empty client_id is an unknown speaker: each such clip counts as a speaker of its own, never all as one person.
    rows["client_id"] = rows["client_id"].where(rows["client_id"] != "", "unknown:" + rows["clip_id"])

    repeated = rows["clip_id"].duplicated()
    contradictory = repeated & (rows["label"] != rows.groupby("clip_id")["label"].transform("first"))
    passed_over += [(clip, "duplicate: named before") for clip in rows["clip_id"][repeated & ~contradictory]]
    in_two = rows["clip_id"].isin(rows["clip_id"][contradictory])
    rows.loc[in_two, "label"] = (
        rows[in_two].groupby("clip_id")["label"].transform(lambda labels: " and ".join(sorted(set(labels))))
    )
    rows = rows[~repeated]
    excluded = rows["clip_id"].isin(list(exclusions))
    passed_over += [(clip, f"excluded: {exclusions[clip]}") for clip in rows["clip_id"][excluded]]
    rows = rows[~excluded]
    ambiguous = ~rows["label"].isin([*classes, *probes])
    missing = ~ambiguous & rows["container"].isna()
    large = ~ambiguous & (rows["size"] > MAX_CLIP_BYTES)
    pairs = rows.loc[ambiguous, ["clip_id", "label"]].itertuples(index=False)
    rejects += [(clip, f"in two classes: {label}") for clip, label in pairs]
    rejects += [(clip, "missing: no such file in clips/") for clip in rows["clip_id"][missing]]
    rejects += [(clip, f"too large: over {MAX_CLIP_BYTES:,} bytes") for clip in rows["clip_id"][large]]
    rows = rows[~(ambiguous | missing | large)]
    check_rejects(rejects, len(rows) + len(rejects), params.max_reject_fraction, "ingest")
    if empty := [label for label in [*classes, *probes] if label not in set(rows["label"])]:
        found = count_kinds(rejects + passed_over) or "evaluate.probes took them"
        raise InputError(f"{empty[0]}: no clip of this class is left (of all: {found}). Mend the input")
    rows = draw(rows, params.seed, params.max_clips_per_speaker, params.max_clips_per_class)
    return rows.sort_values("clip_id", ignore_index=True), rejects, passed_over


def draw(rows: pd.DataFrame, seed: int, per_speaker: int, per_class: int) -> pd.DataFrame:
    """At most so many rows a speaker and a class (0: no limit), those with the lowest hash of seed and clip name.

    A clip's hash does not depend on the other clips, so more of them displace few of those drawn before.
    """
    order = rows["clip_id"].map(lambda clip: seeded_hash(seed, clip)).sort_values(kind="stable").index
    rows = rows.loc[order]
    if per_speaker:
        rows = rows[rows.groupby(["label", "client_id"]).cumcount() < per_speaker]
    if per_class:
        rows = rows[rows.groupby("label").cumcount() < per_class]
    return rows


def seeded_hash(seed: int, name: str) -> int:
    """A hash of 63 bits of `seed` and `name`."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def write_clips(rows: pd.DataFrame, folder: Path, clips_per_part: int) -> None:
    """Write the clips of `select_clips` into Parquet parts, on all cores."""
    starts = range(0, len(rows), clips_per_part)
    jobs = [
        delayed(write_clips_part)(rows[start : start + clips_per_part], folder / part_name(number, "parquet"))
        for number, start in enumerate(starts)
    ]
    for _ in tqdm(in_parallel(jobs), total=len(jobs), unit="part", desc="clips", mininterval=1):
        pass


def write_clips_part(rows: pd.DataFrame, path: Path) -> None:
    """A Parquet part: the clips' rows with their untouched `audio` bytes."""
    table = pa.Table.from_pandas(rows[["clip_id", "label", *COLUMNS]], preserve_index=False)
    audio = [read_clip(*where) for where in rows[PLACE].itertuples(index=False)]
    # Encoded audio does not compress further: Parquet's own compression would only cost time.
    write_table(table.append_column("audio", pa.array(audio, pa.binary())), path, compression={"audio": "NONE"})


def read_clip(container: str, offset: float, size: float) -> bytes:
    with open(container, "rb") as file:
        file.seek(int(offset))
        data = file.read(int(size))
    if len(data) != size:
        raise InputError(f"{container}: changed while it was read. Run the same command again")
    return data
