"""Training in several processes, one a GPU: fastai's `distrib_ctx`, which is Hugging Face Accelerate.

A launcher (torchrun, `accelerate launch`) starts the processes and tells each its place by `RANK` and `WORLD_SIZE`.
Without one, `launch` starts them on this machine. fastai's `rank_distrib()` is 0 in the first and in a single one.
"""

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from accelerate.utils.other import get_free_port
from fastai.data.core import DataLoaders
from fastai.distributed import DistributedDL
from fastai.learner import Learner
from fastai.torch_core import num_distrib
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException, get_context, spawn

from accent.core.errors import InputError, one_line

GRACE_SECONDS = 5  # that the others get to end by themselves when a process has failed


class SharedDL(DistributedDL):
    """The share of a rank in the batches of `dl`: of `dl.bs` windows in a step each rank takes an equal number."""

    def __init__(self, dl):
        super().__init__(dl.new(bs=dl.bs // num_distrib()))

    @property
    def rng(self) -> random.Random:
        """The generator of the order, which fastai's class lacks."""
        return self.dl.rng

    @property
    def n_inp(self) -> int:
        """Inputs in a batch, for which fastai's class would pass an item through and draw random numbers."""
        return self.dl.n_inp

    def _broadcast(self, t: list[int], rank: int) -> list[int]:
        """fastai's own moves `t` to a GPU, whatever the device of the data loader."""
        numbers = torch.tensor(t, device=self.device)
        torch.distributed.broadcast(numbers, rank)
        return numbers.tolist()

    def __len__(self) -> int:
        """Batches, by which the learning rate is scheduled; fastai counts one too many where a last one is left out."""
        windows = -(-len(self.dataset) // self.world_size)
        return windows // self.bs if self.drop_last else -(-windows // self.bs)


def launch(main: Callable[[], None], processes: int) -> None:
    """Run `main` in so many new processes of this machine. The first error of any of them stops all and is raised."""
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise InputError(
            f"params.yaml: train.processes: {processes}, and this machine has {gpus} GPUs. Set it to {gpus} or less, "
            f"or start them on several machines (docs/several-machines.md, 'Several machines')"
        )
    threads = max(len(os.sched_getaffinity(0)) // processes, 1)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    errors = get_context("spawn").SimpleQueue()
    context = spawn(_rank, (main, processes, get_free_port(), errors), processes, join=False)
    try:
        while not context.join(grace_period=GRACE_SECONDS):
            pass
    except (ProcessRaisedException, ProcessExitedException) as error:
        if not errors.empty():
            raise InputError(errors.get()) from None
        if isinstance(error, ProcessExitedException):  # no traceback: killed from outside
            raise InputError(
                f"train: {error}. Was memory short? The same command goes on from the last epoch"
            ) from None
        raise
    finally:
        for process in context.processes:
            process.kill()


def _rank(rank: int, main: Callable[[], None], processes: int, port: int, errors) -> None:
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in {**place, **address}.items()}
    # torch sends SIGINT to a process whose parent has died. Python may ignore it, or wait for the other ranks first.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        main()
    except (InputError, OSError) as error:
        errors.put(one_line(error))  # not the error, of which pickle loses what fastai wraps
        raise


def is_launched() -> bool:
    """Whether this process is one of those that a launcher, or `launch`, started."""
    return num_distrib() > 0


def join(processes: int) -> None:
    """Meet the other processes, each on its own device; `InputError` if there are not as many as there should be."""
    if max(num_distrib(), 1) != processes:
        raise InputError(
            f"params.yaml: train.processes: {processes}, but the launcher started {max(num_distrib(), 1)}. "
            f"Make the two equal"
        )
    if processes > 1:
        PartialState(cpu=not torch.cuda.is_available())


def share(dls: DataLoaders) -> DataLoaders:
    """`dls` in which each rank gets its share of every batch."""
    return DataLoaders(*map(SharedDL, dls)) if num_distrib() > 1 else dls


@contextmanager
def all_ranks(learn: Learner) -> Iterator[None]:
    """A context in which `learn` trains with the gradients of all ranks."""
    if num_distrib() <= 1:
        yield
        return
    cpu = learn.dls.device.type == "cpu"
    with learn.distrib_ctx(sync_bn=not cpu, cpu=cpu):  # torch's synchronised batch normalisation needs GPUs
        yield


def leave() -> None:
    """Leave the other processes: the first one does the rest alone."""
    if num_distrib() > 1:
        PartialState().destroy_process_group()


def check_same(value: object, what: str) -> None:
    """`InputError` if `value` is not the same on all ranks: on several machines each may have data of its own."""
    if num_distrib() > 1 and len(set(gather_object([value]))) > 1:
        raise InputError(f"train: {what} on this machine and on others. Let them work in one shared folder")
