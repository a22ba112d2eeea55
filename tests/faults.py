"""A fault campaign: do things to a small project's pipeline that ought not to happen, mend them, run it again.

    python -m tests.faults [--kills 100] [--seed 1] [--only NAME ...]

After each fault `dvc repro` has to complete, and `dvc.lock` and every output in it have to be those of an undisturbed
run, byte by byte. Prints a line a fault, and at its end the table that stands in docs/robustness.md.
"""

import argparse
import hashlib
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.helpers import TINY, copy_project

STAGES = [
    "ingest",
    "decode",
    "spectrogram",
    "split",
    "train",
    "predict",
    "evaluate",
    "explain",
    "practice",
    "audit",
    "report",
]
SMALL = {section: dict(values) for section, values in TINY.items()}
SMALL["ingest"] |= {"max_clips_per_speaker": 3, "clips_per_part": 16}
SMALL["train"] |= {"epochs": 3}
SMALL["explain"] |= {"max_clips": 2, "draws": 1}
SMALL["report"] |= {"clips": 1}
SMALL["audit"] |= {"max_clips": 2, "permutations": 1}
# Makes DVC look into every object of its cache that it uses, instead of trusting those that are read-only.
DISTRUST = 'find "$(dvc cache dir)" -type f -exec chmod u+w {} + -exec touch {} +'
ENV = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "LOKY_MAX_CPU_COUNT": "2",
    "PYTHONDONTWRITEBYTECODE": "1",  # a byte-code file that a kill cut off is Python's to find, not ours
}


class Failed(Exception):
    """What was seen is not what ought to be."""


def check(truth: object, message: str) -> None:
    if not truth:
        raise Failed(message)


class Project:
    """A small project in `folder`, after an undisturbed run: `lock` and `hashes` are what that gave.

    `targets` are the stages that are run again after a fault; "" is all.
    """

    def __init__(self, folder: Path, targets: str = ""):
        self.folder, self.targets = folder, targets
        self.lock, self.hashes = self.read_lock(), self.hash_outs()

    def sh(self, command: str, ok: bool = True) -> str:
        """Run a shell command in the project; gives what it printed."""
        done = subprocess.run(command, shell=True, cwd=self.folder, env=ENV, capture_output=True, text=True)
        output = done.stdout + done.stderr
        check(not ok or done.returncode == 0, f"{command}: exit {done.returncode}: {output[-1500:]}")
        return output

    def start(self, command: str) -> subprocess.Popen:
        """A command in a process group of its own, as a shell at a terminal starts it."""

        def listen() -> None:  # a campaign that runs in the background was itself started deaf to SIGINT
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(
            shlex.split(command), cwd=self.folder, env=ENV, start_new_session=True, preexec_fn=listen, **pipes
        )

    def read_lock(self) -> bytes:
        return (self.folder / "dvc.lock").read_bytes()

    def hash_outs(self) -> dict[str, str]:
        """MD5 of every file of every output that dvc.lock names."""
        stages = yaml.safe_load(self.read_lock())["stages"]
        outs = sorted({self.folder / out["path"] for stage in stages.values() for out in stage["outs"]})
        files = [file for out in outs for file in (sorted(out.rglob("*")) if out.is_dir() else [out]) if file.is_file()]
        return {str(file.relative_to(self.folder)): hashlib.md5(file.read_bytes()).hexdigest() for file in files}

    def recover(self, killed: bool = False) -> None:
        """`dvc repro` completes, and all is as after the undisturbed run.

        What a killed stage had begun beside its output stays until that stage runs again; DVC may take the output
        from its cache instead.
        """
        self.sh(f"dvc repro {self.targets}")
        for path in self.folder.rglob(".*.partial") if killed else ():
            check(not self.sh(f"git status --porcelain {path}"), f"Git sees {path}")
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.check_same()

    def check_same(self) -> None:
        check(self.read_lock() == self.lock, "dvc.lock differs from the undisturbed run's")
        changed = [name for name, md5 in self.hash_outs().items() if self.hashes.get(name) != md5]
        check(not changed and len(self.hash_outs()) == len(self.hashes), f"outputs differ: {changed}")
        left = [str(path) for path in self.folder.rglob(".*.partial")]
        check(not left, f"left behind: {left}")

    def one_line(self, output: str, pattern: str) -> str:
        """The single line with an error that a stage printed, which has to match; and no traceback."""
        lines = [line for line in output.splitlines() if line.startswith("error: ")]
        check("Traceback" not in output, f"a traceback: {output[-1500:]}")
        check(len(lines) == 1 and re.search(pattern, lines[0]), f"not one line with {pattern!r}: {output[-1500:]}")
        return lines[0]


def run_undisturbed(folder: Path) -> Project:
    """A new small project, run and committed."""
    copy_project(folder, SMALL)
    for level in (folder / "data" / "practice").iterdir():
        for take in sorted(level.iterdir())[2:] if level.is_dir() else []:
            take.unlink()
    for command in (["git", "commit", "-qam", "small"], ["dvc", "repro", "-q"], ["git", "add", "-A"]):
        subprocess.run(command, cwd=folder, env=ENV, check=True)
    subprocess.run(["git", "commit", "-qm", "undisturbed"], cwd=folder, check=True)
    return Project(folder)


def tree(pid: int) -> dict[int, list[str]]:
    """The command lines of a process and all that it started, by process id."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_text().split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
    found = [pid] if pid in commands else []
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return {process: commands[process] for process in found}


def kill(pids: list[int]) -> int:
    """`kill -9`; gives how many were there to be killed."""
    hit = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            hit += 1
        except ProcessLookupError:
            pass
    return hit


def victims(processes: dict[int, list[str]], whom: str, stage: str) -> list[int]:
    if whom == "all":
        return list(processes)
    if whom == "dvc":
        return list(processes)[:1]
    if whom == "stage":
        return [pid for pid, command in processes.items() if command[1:3] == ["-m", f"stages.{stage}"]]
    return [pid for pid, command in processes.items() if any("popen_loky" in word for word in command)][:1]


class Kills:
    """`kill -9` at random moments of a stage: of everything, the stage, DVC, or one worker."""

    def __init__(self, project: Project, seed: int):
        self.project, self.random = project, random.Random(seed)
        self.durations: dict[str, float] = {}  # of a stage's process when nobody disturbs it

    def begin(self, stage: str) -> subprocess.Popen:
        """DVC, from the moment on at which the stage's own process is there."""
        process = self.project.start(f"dvc repro --force --single-item {stage}")
        while process.poll() is None and not victims(tree(process.pid), "stage", stage):
            time.sleep(0.02)
        return process

    def measure(self, stage: str) -> None:
        process = self.begin(stage)
        began = time.monotonic()
        while victims(tree(process.pid), "stage", stage):
            time.sleep(0.02)
        self.durations[stage] = time.monotonic() - began
        output = process.communicate()[0]
        check(process.returncode == 0, f"{stage}: exit {process.returncode}: {output[-1500:]}")

    def one(self, stage: str, whom: str) -> str | None:
        """Kill once, mend, compare; says what was hit, or None if the stage had ended, or had no such process."""
        if stage not in self.durations:
            self.measure(stage)
        moment = self.random.uniform(0, self.durations[stage])
        process = self.begin(stage)
        time.sleep(moment)
        processes = tree(process.pid)
        running = victims(processes, "stage", stage)
        hit = kill(victims(processes, whom, stage)) if running else 0
        while whom == "dvc" and not all(map(zombie, list(processes)[1:])):
            time.sleep(0.05)  # what the dead DVC had started goes on, as it would
        process.communicate()
        if hit:
            self.project.recover(killed=True)
        return f"{hit} of {len(processes)} processes, {moment:.1f} s into it" if hit else None


def zombie(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def flip(path: Path, *places: int) -> None:
    """Bits of a file, by default one every 4 KiB, so that every clip has one.

    In place, and with size and time as they were: DVC's own records do not see it.
    """
    before = path.stat()
    data = bytearray(path.read_bytes())
    for place in places or range(2048, len(data), 4096):
        data[place] ^= 1
    mode = before.st_mode
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.write(data)
    path.chmod(mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def advice(line: str) -> str:
    """The command that an error's line says to run."""
    return re.search(r"Run '(.*?)'; ", line)[1]


DAMAGE = {  # reader -> the parts that it reads
    "decode": ["data/clips/part-00001.parquet"],
    "spectrogram": ["data/waveforms/part-00001.npy"],
    "train": ["data/spectrograms/part-*.npy"],
    "predict": ["data/spectrograms/part-*.npy"],
    "explain": ["data/spectrograms/part-*.npy"],
    "audit": ["data/waveforms/part-*.npy", "data/clips/part-*.parquet"],
    "report": ["data/spectrograms/part-*.npy", "data/clips/part-*.parquet"],
}


def damaged_parts(project: Project, readers: dict[str, list[str]] = DAMAGE) -> str:
    """Every reader of a part finds a flipped bit in it, and what its message says mends that."""
    count = 0
    for reader, patterns in readers.items():
        for pattern in patterns:
            parts = sorted(project.folder.glob(pattern))
            check(parts, f"{pattern}: none")
            for part in parts:
                flip(part)
            seen = "up to date" not in project.sh(f"dvc status {project.targets}")
            check(not seen, "DVC saw the damage: this does not test our own checks")
            output = project.sh(f"dvc repro --force --single-item {reader}; false", ok=False)
            names = [str(part.relative_to(project.folder)) for part in parts]
            line = project.one_line(output, "(" + "|".join(map(re.escape, names)) + "): missing or damaged")
            for name in names:  # one at a time is named; the advice is the same for each
                project.sh(f"rm -f {name}")
            project.sh(advice(line))
            project.check_same()
            count += 1
    return f"{count} times a stage named the part; its advice mended it"


def damaged_header(project: Project) -> str:
    part = project.folder / "data/waveforms/part-00000.npy"
    for place in (3, 10, 24, 62):
        flip(part, place)
        line = project.one_line(
            project.sh("dvc repro --force --single-item spectrogram", ok=False), r"waveforms/part-00000.npy: missing or"
        )
        project.sh(advice(line))
        project.check_same()
    return "named, as above"


def truncated_cache(project: Project) -> str:
    """DVC trusts its read-only objects, and brings a damaged one back; the reader finds it."""
    part = project.folder / "data/waveforms/part-00001.npy"
    md5 = hashlib.md5(part.read_bytes()).hexdigest()
    cached = project.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    seen = []
    for harm in ("truncated", "one bit"):
        if harm == "truncated":
            cached.chmod(0o644)
            os.truncate(cached, cached.stat().st_size // 2)
            cached.chmod(0o444)
        else:
            flip(cached)
        part.unlink()
        project.sh("dvc checkout")
        check(hashlib.md5(part.read_bytes()).hexdigest() != md5, "DVC did see it")
        output = project.sh("dvc repro --force --single-item spectrogram", ok=False)
        line = project.one_line(output, r"waveforms/part-00001.npy: missing or damaged")
        seen.append(line)
        project.sh(f"{DISTRUST} && rm -f {part.relative_to(project.folder)} && dvc repro")
        project.check_same()
        check(hashlib.md5(cached.read_bytes()).hexdigest() == md5, "the cache is not mended")
    return "`dvc checkout` brings it back unseen; the stage names the part; mended as below"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own at `folder`, with what was in it."""
    aside = folder.with_name(f"{folder.name}.aside")
    shutil.copytree(folder, aside)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder)
        os.replace(aside, folder)


def full_disk(project: Project) -> str:
    """`data/` on a tmpfs that has room for what is there, and no more."""
    data = project.folder / "data"
    size = sum(file.stat().st_size + 4096 for file in data.rglob("*"))
    with mounted(data, f"size={size // 1024 + 100}k"):
        shutil.copytree(data.with_name("data.aside"), data, dirs_exist_ok=True)
        fill = data / "fill"
        for stage in STAGES[:3]:
            out = data / {"ingest": "clips", "decode": "waveforms", "spectrogram": "spectrograms"}[stage]
            shutil.rmtree(out)
            free = shutil.disk_usage(data).free
            fill.write_bytes(bytes(max(free - 40_000, 0)))
            output = project.sh(f"dvc repro --force --single-item {stage}", ok=False)
            project.one_line(output, "No space left on device. Free some space, then run the same command again")
            check(not list(data.glob(".*.partial")), "a half-written output is left")
            fill.unlink()
            project.sh(f"dvc repro --force --single-item {stage}")
            project.recover()
    project.sh("dvc checkout")
    project.recover()
    return "one line in each of 3 stages; nothing half-written"


def read_only(project: Project) -> str:
    """`metrics/` on a read-only file system."""
    metrics = project.folder / "metrics"
    done = subprocess.run(["mount", "--bind", str(metrics), str(metrics)], capture_output=True, text=True)
    check(done.returncode == 0, done.stderr)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(metrics)], check=True)
        output = project.sh("dvc repro --force --single-item practice", ok=False)
        check("Read-only file system" in output, output[-800:])
        direct = project.sh(
            "python -m stages.practice models data/practice metrics/practice.json metrics/practice", ok=False
        )
        project.one_line(direct, "metrics/.*Read-only file system")
    finally:
        subprocess.run(["umount", str(metrics)], check=True)
    project.recover()
    return "one line, of DVC and of the stage"


def vanished(project: Project) -> str:
    """A release's table, a part, and a folder of parts go, each before a run, and come back."""
    folder = project.folder
    cases = [
        ("data/sample/fr/validated.tsv", "ingest", "error: "),
        ("data/waveforms/part-00001.npy", "spectrogram", "waveforms/part-00001.npy: missing or damaged"),
        ("data/clips", "audit", r"data/clips/part-\d+.parquet: missing or damaged"),
    ]
    for name, stage, pattern in cases:
        path, aside = folder / name, folder / "aside"
        os.replace(path, aside)
        command = command_of(folder, stage)
        try:
            output = project.sh(command, ok=False)
            if stage == "ingest":
                check("Traceback" not in output, output[-800:])
            else:
                project.one_line(output, pattern)
        finally:
            os.replace(aside, path)
        project.recover()
    return "the stage names it; DVC makes or brings an output that is gone again"


def command_of(folder: Path, stage: str) -> str:
    """The command of a stage, as DVC would run it, without DVC's own check of the inputs before."""
    return yaml.safe_load((folder / "dvc.yaml").read_text())["stages"][stage]["cmd"]


def two_at_once(project: Project) -> str:
    """Two `dvc repro` of the same project: one runs, the other one says that it is locked or has nothing to do."""
    project.sh("rm -rf data/waveforms data/spectrograms metrics/explanation")
    first, second = (project.start("dvc repro --force --single-item decode") for _ in range(2))
    outputs = [first.communicate()[0], second.communicate()[0]]
    codes = sorted([first.returncode, second.returncode])
    check(0 in codes, f"neither completed: {outputs}")
    check(not any("Traceback" in output for output in outputs), f"a traceback: {outputs}")
    project.recover()
    locked = any("lock" in output.lower() for output in outputs)
    return f"exit codes {codes}" + ("; the second one says that the project is locked" if locked and any(codes) else "")


def interrupted(project: Project, stages: tuple[str, ...] = ("decode", "train", "audit")) -> str:
    """SIGINT to the whole process group while a stage runs, as Ctrl-C at a terminal does it."""
    for stage in stages:
        process = project.start(f"dvc repro --force --single-item {stage}")
        while process.poll() is None and not any(f"stages.{stage}" in words for words in tree(process.pid).values()):
            time.sleep(0.05)
        time.sleep(random.Random(stage).uniform(0.5, 4))
        running = process.poll() is None
        if running:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        check(not running or process.returncode != 0, f"{stage}: SIGINT, and exit code 0")
        project.recover()
    return "DVC ends with an error"


def experiments(project: Project) -> str:
    """Two `dvc exp run --temp` at once beside two queue workers, against the same runs one after another."""
    metrics = ["metrics/evaluation.json", "metrics/training.json", "models/accent.json"]
    names = {"temp-a": 1, "temp-b": 2, "queue-a": 1, "queue-b": 2}
    before = (project.sh("git status --porcelain"), project.hash_outs())
    for name in ("queue-a", "queue-b"):
        project.sh(f"dvc exp run --queue -n {name} -S train.epochs={names[name]} evaluate")
    command = "dvc exp run --temp -n {} -S train.epochs={} evaluate"
    temps = [project.start(command.format(name, names[name])) for name in ("temp-a", "temp-b")]
    project.sh("dvc queue start -j 2")
    outputs = [temp.communicate()[0] for temp in temps]
    check(not any(temp.returncode for temp in temps), f"exp run --temp: {outputs}")
    until = time.monotonic() + 900
    while re.search("Running|Queued", status := project.sh("dvc queue status")) and time.monotonic() < until:
        time.sleep(1)
    check(status.count("Success") == 2, f"queue: {status}")
    check(before == (project.sh("git status --porcelain"), project.hash_outs()), "the workspace was touched")
    project.sh(command.format("alone", 1))
    results = {
        name: [project.sh(f"git show {commit}:{file}") for file in metrics]
        for name, commit in exp_refs(project, [*names, "alone"]).items()
    }
    check(results["temp-a"] == results["queue-a"] == results["alone"], "an experiment's results depend on the others")
    check(results["temp-b"] == results["queue-b"] != results["temp-a"], "an experiment's results depend on the others")
    project.recover()
    return "results equal to a run alone; the workspace untouched"


def exp_refs(project: Project, names: list[str]) -> dict[str, str]:
    """Commit of each experiment by its name."""
    listed = project.sh("git for-each-ref --format='%(objectname) %(refname)' refs/exps").split("\n")
    pairs = [line.split() for line in listed if line]
    return {ref.rsplit("/", 1)[1]: commit for commit, ref in pairs if ref.rsplit("/", 1)[1] in names}


FAULTS: dict[str, tuple[str, Callable[[Project], str]]] = {
    "damaged-part": ("bits flipped in parts, size and time as before", damaged_parts),
    "damaged-header": ("a bit flipped in a part's header", damaged_header),
    "truncated-cache": ("an object of DVC's cache cut in half, or with a flipped bit", truncated_cache),
    "disk-full": ("disk full", full_disk),
    "read-only": ("output folder read-only", read_only),
    "vanished": ("an input vanishes", vanished),
    "two-at-once": ("two `dvc repro` at once", two_at_once),
    "sigint": ("SIGINT in the middle of `dvc repro`", interrupted),
    "experiments": ("two `dvc exp run --temp` and two queue workers at once", experiments),
}
TIMES = {
    "damaged-part": sum(map(len, DAMAGE.values())),
    **{"damaged-header": 4, "truncated-cache": 2, "disk-full": 3, "vanished": 3, "sigint": 3},
}
WHOM = {
    "all": "all processes",
    "stage": "the stage's process",
    "dvc": "DVC's process",
    "worker": "a worker process",
}
WITH_WORKERS = ("ingest", "decode", "spectrogram", "audit")


def kill_campaign(project: Project, wanted: int, seed: int) -> list[tuple[str, int, str, str]]:
    """`wanted` kills that hit something, the stages in turn; a row of the table for each kind."""
    kills = Kills(project, seed)
    hits, failed, missed = dict.fromkeys(WHOM, 0), [], 0
    in_stage = dict.fromkeys(STAGES, 0)
    turn = 0
    while sum(hits.values()) < wanted:
        stage = STAGES[turn % len(STAGES)]
        possible = [whom for whom in WHOM if whom != "worker" or stage in WITH_WORKERS]
        whom = possible[(turn // len(STAGES)) % len(possible)]
        turn += 1
        try:
            seen = kills.one(stage, whom)
        except Failed as failure:
            seen = f"FAILED: {failure}"
            failed.append(whom)
            project.sh("rm -rf data/clips .state && git checkout -q . && dvc repro -q", ok=False)
        print(f"kill {sum(hits.values()) + 1} {stage} {WHOM[whom]}: {seen or 'too late'}", flush=True)
        missed += seen is None
        if seen is not None:
            hits[whom] += 1
            in_stage[stage] += 1
    print(f"{sum(hits.values())} kills hit; {missed} came too late; by stage: {in_stage}", flush=True)
    return [
        (
            f"`kill -9` of {WHOM[whom]}",
            hits[whom],
            "the next `dvc repro` completes",
            "identical" if whom not in failed else f"{failed.count(whom)} failed",
        )
        for whom in WHOM
        if hits[whom]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="that hit a running process")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    names = ["kills", *FAULTS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    args = parser.parse_args()

    wanted = args.only or names
    rows = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        project = run_undisturbed(Path(folder) / "project")
        for name in wanted:
            if name == "kills":
                rows += kill_campaign(project, args.kills, args.seed)
                continue
            title, fault = FAULTS[name]
            try:
                seen, result = fault(project), "identical"
            except Failed as failure:
                seen, result = f"FAILED: {failure}", "failed"
                project.sh("git checkout -q . ; dvc checkout --force; dvc repro", ok=False)
            rows.append((title, TIMES.get(name, 1), seen, result))
            print(f"{name}: {seen}: {result}", flush=True)
    print("\n| fault | how often | what was seen | result |\n|---|---|---|---|")
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    sys.exit(any(result != "identical" for *_, result in rows))


if __name__ == "__main__":
    main()
