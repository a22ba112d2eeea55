import pytest
import torch
from torchvision import models

from accent.network.resnet import ARCHITECTURES, Blur, ResNet


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


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_a_narrow_network_has_a_fraction_of_the_weights(arch):
    sizes = [sum(tensor.numel() for tensor in ResNet(arch, width).layer4.parameters()) for width in (64, 16)]
    assert sizes[0] / sizes[1] == pytest.approx(16, rel=0.01)


def test_a_blur_keeps_what_is_even_and_takes_what_would_alias():
    even = torch.full((1, 2, 8, 10), 3.0)
    torch.testing.assert_close(Blur(2)(even), torch.full((1, 2, 4, 5), 3.0))
    alternating = torch.tensor([1.0, -1.0]).repeat(5).expand(1, 2, 8, 10)
    assert Blur(2)(alternating)[..., 1:].abs().max() == 0
    assert alternating[..., ::2].min() == 1  # which is what a stride alone makes of it


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_an_anti_aliased_network_has_the_same_shapes_and_blurs_wherever_it_leaves_places_out(arch):
    plain, blurred = ResNet(arch, 8), ResNet(arch, 8, antialias=True)
    pictures = torch.rand(2, 3, 64, 96)
    places = [torch.nn.Sequential(*list(net.children())[:8])(pictures).shape for net in (plain, blurred)]
    assert places[0] == places[1]
    strides = [module.stride for module in blurred.modules() if isinstance(module, torch.nn.Conv2d)]
    assert strides.count((2, 2)) == 1  # the first convolution, whose filters are low-pass enough
    assert sum(isinstance(module, Blur) for module in blurred.modules()) == 7
