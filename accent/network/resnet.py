"""The residual networks of arXiv 1512.03385, as torchvision builds them: the same names, weights and outputs.

torchvision's own would be used if importing it did not load torch's compiler too: 1.6 s and 160 MB of every command
that scores a take. A test holds these to torchvision's. Unlike it, they may be narrower, and anti-aliased.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Blur(nn.Module):
    """Anti-aliased down-sampling by 2, so that a shift of the input shifts the output.

    A binomial 3x3 filter, with the edges repeated, before every second place is left out (arXiv 1904.11486).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        filters = (line[:, None] * line).expand(channels, 1, 3, 3)
        self.register_buffer("filters", filters.contiguous(), persistent=False)

    def forward(self, batch: Tensor) -> Tensor:
        padded = functional.pad(batch, (1, 1, 1, 1), mode="replicate")
        return functional.conv2d(padded, self.filters.to(batch.dtype), stride=2, groups=batch.shape[1])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, downsample: nn.Module | None, blur: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.blur = blur
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, batch: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.blur(self.relu(self.bn1(self.conv1(batch))))))
        residual += batch if self.downsample is None else self.downsample(batch)
        return self.relu(residual)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, the stride in the 3x3 one, around which the input is added."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, downsample: nn.Module | None, blur: nn.Module) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.blur = blur
        self.downsample = downsample

    def forward(self, batch: Tensor) -> Tensor:
        residual = self.relu(self.bn1(self.conv1(batch)))
        residual = self.bn3(self.conv3(self.blur(self.relu(self.bn2(self.conv2(residual))))))
        residual += batch if self.downsample is None else self.downsample(batch)
        return self.relu(residual)


ARCHITECTURES = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(nn.Module):
    """Pictures (batch, channels, height, width) -> scores (batch, 1000), initialised as torchvision does.

    `width` is the number of channels of the first layers, 64 in torchvision's; its `channels` are 3. With `antialias` a
    `Blur` does all down-sampling but that of the first convolution.
    """

    def __init__(self, arch: str, width: int = 64, antialias: bool = False, channels: int = 3) -> None:
        super().__init__()
        block, (one, two, three, four) = ARCHITECTURES[arch]
        self.channels, self.antialias = width, antialias
        self.conv1 = nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        pool = nn.MaxPool2d(kernel_size=3, stride=1 if antialias else 2, padding=1)
        self.maxpool = nn.Sequential(pool, Blur(width)) if antialias else pool
        self.layer1 = self._layer(block, width, one, stride=1)
        self.layer2 = self._layer(block, 2 * width, two, stride=2)
        self.layer3 = self._layer(block, 4 * width, three, stride=2)
        self.layer4 = self._layer(block, 8 * width, four, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.channels, 1000)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _layer(self, block: type[BasicBlock | Bottleneck], width: int, blocks: int, stride: int) -> nn.Sequential:
        outputs = width * block.expansion
        blurred = self.antialias and stride != 1
        blur: nn.Module = Blur(width) if blurred else nn.Identity()
        downsample = None
        if stride != 1 or self.channels != outputs:
            convolution = nn.Conv2d(self.channels, outputs, 1, 1 if blurred else stride, bias=False)
            before = [Blur(self.channels)] if blurred else []
            downsample = nn.Sequential(*before, convolution, nn.BatchNorm2d(outputs))
        first = block(self.channels, width, 1 if blurred else stride, downsample, blur)
        self.channels = outputs
        return nn.Sequential(first, *(block(outputs, width, 1, None, nn.Identity()) for _ in range(blocks - 1)))

    def _map(self, batch: Tensor) -> Tensor:
        batch = self.maxpool(self.relu(self.bn1(self.conv1(batch))))
        return self.layer4(self.layer3(self.layer2(self.layer1(batch))))

    def columns(self, batch: Tensor) -> Tensor:
        """Feature columns (batch, channels, columns): the last map, averaged over its height."""
        return self._map(batch).mean(dim=2)

    def features(self, batch: Tensor) -> Tensor:
        """Pooled features (batch, channels), the input of the last layer: the mean over the picture."""
        return self.avgpool(self._map(batch)).flatten(1)

    def forward(self, batch: Tensor) -> Tensor:
        return self.fc(self.features(batch))
