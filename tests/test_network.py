import pytest
import torch
from torchvision import models

from accent.network import ARCHITECTURES, ResNet


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_it_is_torchvision_s_network(arch):
    torch.manual_seed(0)
    ours = ResNet(arch).eval()
    torch.manual_seed(0)
    theirs = models.get_model(arch, weights=None).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    pictures = torch.rand(2, 3, 64, 96)
    torch.testing.assert_close(ours(pictures), theirs(pictures))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_architecture_has_torchvision_s_shapes(arch):
    with torch.device("meta"):
        ours, theirs = ResNet(arch), models.get_model(arch, weights=None)
    assert {name: value.shape for name, value in ours.state_dict().items()} == {
        name: value.shape for name, value in theirs.state_dict().items()
    }
