"""The student: our own network with a head that predicts the teacher's frames for each moment of a window."""

from torch import Tensor, nn

from accent.network.model import Standardise
from accent.network.resnet import ResNet


class Student(nn.Module):
    """Windows (batch, 1, n_mels, frames) in 0-1 -> the teacher's frames (batch, columns, width), standardised.

    The columns are those of the network's last map: a linear layer turns their mean over frequency into frames.
    """

    def __init__(self, network: ResNet, width: int) -> None:
        super().__init__()
        self.standardise, self.network = Standardise(), network
        network.fc = nn.Identity()  # the head takes its place
        self.head = nn.Conv1d(network.channels, width, kernel_size=1)

    def forward(self, batch: Tensor) -> Tensor:
        return self.head(self.network.columns(self.standardise(batch))).transpose(1, 2)


def refine_time(network: ResNet, time_stride: int) -> None:
    """Let the network keep columns of `time_stride` frames (32, 16, 8 or 4) by leaving out the last strides in time."""
    for layer in (network.layer4, network.layer3, network.layer2):
        if time_stride == 32:
            return
        first = layer[0]
        for convolution in (first.conv1, first.downsample[0]):
            convolution.stride = (convolution.stride[0], 1)
        time_stride *= 2
