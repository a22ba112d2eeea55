"""The residual networks of arXiv 1512.03385, as torchvision builds them: the same names, weights and outputs.

torchvision's own would be used if importing it did not load torch's compiler too: 1.6 s and 160 MB of every command
that scores a take. A test holds these to torchvision's.
"""

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, batch: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(batch)))))
        residual += batch if self.downsample is None else self.downsample(batch)
        return self.relu(residual)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1, the stride in the 3x3 one, around which the input is added."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, batch: Tensor) -> Tensor:
        residual = self.relu(self.bn1(self.conv1(batch)))
        residual = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(residual)))))
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
    """Pictures (batch, 3, height, width) -> scores (batch, 1000), as for ImageNet; initialised as torchvision does."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        block, (one, two, three, four) = ARCHITECTURES[arch]
        self.channels = 64
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._layer(block, 64, one, stride=1)
        self.layer2 = self._layer(block, 128, two, stride=2)
        self.layer3 = self._layer(block, 256, three, stride=2)
        self.layer4 = self._layer(block, 512, four, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.channels, 1000)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _layer(self, block: type[BasicBlock | Bottleneck], width: int, blocks: int, stride: int) -> nn.Sequential:
        outputs = width * block.expansion
        downsample = None
        if stride != 1 or self.channels != outputs:
            convolution = nn.Conv2d(self.channels, outputs, 1, stride, bias=False)
            downsample = nn.Sequential(convolution, nn.BatchNorm2d(outputs))
        first = block(self.channels, width, stride, downsample)
        self.channels = outputs
        return nn.Sequential(first, *(block(outputs, width, 1, None) for _ in range(blocks - 1)))

    def features(self, batch: Tensor) -> Tensor:
        """What the last layer judges by: (batch, channels), the mean over the picture."""
        batch = self.maxpool(self.relu(self.bn1(self.conv1(batch))))
        batch = self.layer4(self.layer3(self.layer2(self.layer1(batch))))
        return self.avgpool(batch).flatten(1)

    def forward(self, batch: Tensor) -> Tensor:
        return self.fc(self.features(batch))
