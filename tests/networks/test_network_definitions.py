"""Every architecture against an independent rendering of its definition, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import networks
from bench.networks import Network
from bench.networks.layers import activation_layer, norm_layer
from bench.networks.names import Activation, Norm
from bench.specs import DatasetSpec

SpecOf = Callable[..., DatasetSpec]


def built(name: str, spec: DatasetSpec, *, perturbed: bool = True) -> Network:
    """A float64 network whose norms are no identity maps, so that their place shows."""
    network = networks.build(name, spec, torch.Generator().manual_seed(0), dtype=torch.float64)
    if perturbed:
        rng = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=rng))
    return network


def images(spec: DatasetSpec, count: int = 3) -> Tensor:
    rng = torch.Generator().manual_seed(2)
    return torch.randn(count, *spec.shape, generator=rng, dtype=torch.float64)


def normalised(x: Tensor, dims: tuple[int, ...], scale: Tensor, shift: Tensor) -> Tensor:
    mean, variance = x.mean(dims, keepdim=True), x.var(dims, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def instance_norm(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return normalised(x, (2, 3), scale[:, None, None], shift[:, None, None])


def weights(network: nn.Module) -> Iterator[Tensor]:
    return iter([parameter.detach() for parameter in network.parameters()])


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("norm", "groups", "dims"),
    [("in", 8, (2, 3, 4)), ("gn", 4, (2, 3, 4)), ("ln", 1, (2, 3, 4)), ("bn", 8, (0, 3, 4))],
)
def test_norms_are_their_definitions(norm: Norm, groups: int, dims: tuple[int, ...]) -> None:
    """Mean and variance over the stated axes of (N, groups, C / groups, H, W)."""
    rng = torch.Generator().manual_seed(0)
    layer = norm_layer(norm, 8, 5).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    x = torch.randn(6, 8, 5, 5, generator=rng, dtype=torch.float64)
    scale, shift = weights(layer)
    if norm != "ln":
        scale, shift = scale[:, None, None], shift[:, None, None]
    grouped = x.unflatten(1, (groups, 8 // groups))
    one, zero = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    expected = normalised(grouped, dims, one, zero).flatten(1, 2) * scale + shift
    assert_same(layer(x), expected)


def test_instance_norm_keeps_no_statistics() -> None:
    assert not list(norm_layer("in", 8, 5).buffers())


@pytest.mark.parametrize(
    ("activation", "definition"),
    [
        ("relu", lambda x: x * (x > 0)),
        ("sigmoid", lambda x: 1 / (1 + (-x).exp())),
        ("leaky", lambda x: torch.where(x > 0, x, 0.01 * x)),
        ("swish", lambda x: x / (1 + (-x).exp())),
    ],
)
def test_activations_are_their_definitions(
    activation: Activation, definition: Callable[[Tensor], Tensor]
) -> None:
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    assert_same(activation_layer(activation)(x), definition(x))


@pytest.mark.parametrize(("channels", "size_px", "padding"), [(1, 28, 3), (3, 32, 1), (1, 8, 1)])
def test_convnet_is_convolution_norm_relu_and_average_pooling(
    spec_of: SpecOf, channels: int, size_px: int, padding: int
) -> None:
    spec = spec_of(channels, size_px)
    network = built("convnet-d3-w16", spec)
    tensors = weights(network)
    x = inputs = images(spec)
    for pad in (padding, 1, 1):
        x = F.conv2d(x, next(tensors), next(tensors), padding=pad)
        x = F.avg_pool2d(instance_norm(x, next(tensors), next(tensors)).relu(), 2)
    assert_same(network.embed(inputs), x.flatten(1))
    assert_same(network(inputs), F.linear(x.flatten(1), next(tensors), next(tensors)))


def test_convnet_modifiers_change_what_they_name(spec_of: SpecOf) -> None:
    spec = spec_of(3, 8)
    network = built("convnet-d2-w8-nonorm-swish-max", spec)
    tensors = weights(network)
    x = inputs = images(spec)
    for _ in range(2):
        x = F.conv2d(x, next(tensors), next(tensors), padding=1)
        x = F.max_pool2d(x * x.sigmoid(), 2)
    assert_same(network.embed(inputs), x.flatten(1))


def test_mlp_has_two_hidden_layers(spec_of: SpecOf) -> None:
    spec = spec_of(3, 8)
    network = built("mlp", spec)
    w1, b1, w2, b2, w3, b3 = weights(network)
    hidden = (images(spec).flatten(1) @ w1.T + b1).relu()
    hidden = (hidden @ w2.T + b2).relu()
    assert_same(network(images(spec)), hidden @ w3.T + b3)


@pytest.mark.parametrize(
    ("channels", "size_px", "stride", "paddings"),
    [(1, 28, 1, (2, 0)), (3, 32, 1, (0, 0)), (3, 64, 2, (0, 0)), (1, 8, 1, (2, 2))],
)
def test_lenet_is_its_definition(
    spec_of: SpecOf, channels: int, size_px: int, stride: int, paddings: tuple[int, int]
) -> None:
    spec = spec_of(channels, size_px)
    network = built("lenet", spec)
    w = list(weights(network))
    x = F.conv2d(images(spec), w[0], w[1], stride, paddings[0])
    x = F.conv2d(F.max_pool2d(x.relu(), 2), w[2], w[3], padding=paddings[1])
    x = F.linear(F.max_pool2d(x.relu(), 2).flatten(1), w[4], w[5]).relu()
    x = F.linear(x, w[6], w[7]).relu()
    assert_same(network.embed(images(spec)), x)


@pytest.mark.parametrize("name", ["alexnet", "alexnet-bn"])
@pytest.mark.parametrize(
    ("channels", "size_px", "stride", "padding"),
    [(1, 28, 1, 4), (3, 32, 1, 2), (3, 64, 2, 2), (1, 8, 1, 2)],
)
def test_alexnet_is_its_definition(
    spec_of: SpecOf, name: str, channels: int, size_px: int, stride: int, padding: int
) -> None:
    spec = spec_of(channels, size_px)
    network = built(name, spec)
    tensors = weights(network)
    x = images(spec)
    for step, pad, pooled in (
        (stride, padding, True),
        (1, 2, True),
        (1, 1, False),
        (1, 1, False),
        (1, 1, True),
    ):
        x = F.conv2d(x, next(tensors), next(tensors), step, pad)
        if name == "alexnet-bn":
            scale, shift = next(tensors)[:, None, None], next(tensors)[:, None, None]
            x = normalised(x, (0, 2, 3), scale, shift)
        x = F.max_pool2d(x.relu(), 2) if pooled else x.relu()
    assert_same(network.embed(images(spec)), x.flatten(1))


@pytest.mark.parametrize("size_px", [32, 64])
def test_vgg11_has_the_features_of_torchvision(spec_of: SpecOf, size_px: int) -> None:
    from torchvision.models import vgg11_bn

    spec = spec_of(3, size_px)
    network = built("vgg11-bn", spec).eval()
    with torch.device("meta"):
        reference = vgg11_bn(init_weights=False).features
    reference.load_state_dict(renamed(network.features, reference), assign=True)
    expected = reference.eval()(images(spec))[:, :, ::2, ::2]
    assert_same(network.embed(images(spec)), expected.flatten(1))


@pytest.mark.parametrize("size_px", [28, 32, 64])
def test_resnet18_is_that_of_torchvision_with_a_small_stem(spec_of: SpecOf, size_px: int) -> None:
    from torchvision.models import resnet18

    spec = spec_of(3, size_px)
    network = built("resnet18-bn", spec).eval()
    with torch.device("meta"):
        reference = resnet18(num_classes=10)
        stride = 2 if size_px == 64 else 1
        reference.conv1 = nn.Conv2d(3, 64, 3, stride, padding=1, bias=False)
    reference.maxpool = nn.Identity()
    reference.load_state_dict(renamed(network, reference), assign=True)
    assert_same(network(images(spec)), reference.eval()(images(spec)))


def renamed(network: nn.Module, reference: nn.Module) -> dict[str, Tensor]:
    """The state of ``network`` under the names of ``reference``; both list it in one order."""
    return dict(zip(reference.state_dict(), network.state_dict().values(), strict=True))


@pytest.mark.parametrize(("channels", "size_px"), [(1, 28), (3, 32)])
def test_resnet_ap_averages_where_resnet_strides(
    spec_of: SpecOf, channels: int, size_px: int
) -> None:
    spec = spec_of(channels, size_px)
    network = built("resnet10-ap-w8", spec)
    tensors = weights(network)

    def convolved(x: Tensor, padding: int = 1) -> Tensor:
        return F.conv2d(x, next(tensors), padding=padding)

    def normed(x: Tensor) -> Tensor:
        return instance_norm(x, next(tensors), next(tensors))

    x = normed(convolved(images(spec))).relu()
    x = (normed(convolved(normed(convolved(x)).relu())) + x).relu()
    for _ in range(3):
        residual = F.avg_pool2d(normed(convolved(x)).relu(), 2)
        residual = normed(convolved(residual))
        x = (residual + normed(F.avg_pool2d(convolved(x, 0), 2))).relu()
    assert_same(network.embed(images(spec)), x.flatten(1))


def test_resnet_keeps_two_by_two_pixels_of_small_images(spec_of: SpecOf) -> None:
    network = built("resnet18", spec_of(1, 8))
    x, sizes = images(spec_of(1, 8)), []
    for layer in list(network.features.children())[:-1]:
        x = layer(x)
        sizes.append(x.shape[-1])
    assert sizes == [8, 8, 8, 8, 8, 4, 4, 2, 2, 2, 2]


def test_vit_is_torchs_own_encoder_on_patches(spec_of: SpecOf) -> None:
    spec = spec_of(3, 16)
    network = built("vit-depth2", spec).eval()
    w = dict(network.state_dict())
    x = images(spec)
    cut = x.unfold(2, 4, 4).unfold(3, 4, 4)  # (N, C, 4, 4, patch, patch)
    cut = cut.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    kernel = w["features.0.patches.weight"].flatten(1)
    patches = F.linear(cut, kernel, w["features.0.patches.bias"])
    first = w["features.0.class_token"].repeat(len(x), 1, 1)
    tokens = torch.cat([first, patches], 1) + w["features.0.positions"]
    for block in range(2):
        tokens = encoder_layer(network, 2 + 2 * block)(tokens)
    *_, scale, shift = network.features.parameters()
    expected = normalised(tokens[:, 0], (1,), scale, shift)
    assert_same(network.embed(x), expected)


def encoder_layer(network: Network, at: int) -> nn.Module:
    """Torch's pre-norm layer with the weights of two residual layers of ``network``."""
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(
            512, 8, 512, 0.0, "gelu", batch_first=True, norm_first=True
        )
    ours = network.features.state_dict()
    names = {
        "norm1": f"{at}.layers.0",
        "self_attn.out_proj": f"{at}.layers.1.to_tokens",
        "norm2": f"{at + 1}.layers.0",
        "linear1": f"{at + 1}.layers.1",
        "linear2": f"{at + 1}.layers.4",
    }
    state = {
        f"{theirs}.{kind}": ours[f"{name}.{kind}"]
        for theirs, name in names.items()
        for kind in ("weight", "bias")
    }
    state["self_attn.in_proj_weight"] = ours[f"{at}.layers.1.to_qkv.weight"]
    state["self_attn.in_proj_bias"] = torch.zeros(3 * 512, dtype=torch.float64)
    layer.load_state_dict(state, assign=True)
    return layer


@pytest.mark.parametrize(
    "name",
    [
        "convnet-d2-w4",
        "convnet-d2-w4-bn-swish-max",
        "convnet-d2-w4-ln-leaky",
        "convnet-d2-w4-gn-sigmoid",
        "mlp-w8",
        "lenet",
        "alexnet-in",
        "resnet10-w4",
        "resnet10-ap-w4-bn",
        "vit-depth1-heads1",
    ],
)
def test_second_derivatives_agree_with_finite_differences(spec_of: SpecOf, name: str) -> None:
    """What DC needs: the slope along images of a loss's slope along parameters."""
    spec = spec_of(1, 8, 3)
    network = built(name, spec).eval()
    parameters = list(network.parameters())
    rng = torch.Generator().manual_seed(3)
    x = images(spec, 4).requires_grad_()
    directions = [torch.randn(p.shape, generator=rng, dtype=torch.float64) for p in parameters]
    step = torch.randn(x.shape, generator=rng, dtype=torch.float64)

    def slope(at: Tensor) -> Tensor:
        loss = F.cross_entropy(network(at), torch.tensor([0, 1, 2, 0]))
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        return sum(((g * d).sum() for g, d in zip(gradients, directions, strict=True)), x.sum() * 0)

    (second,) = torch.autograd.grad(slope(x), x)
    eps = 1e-6
    difference = (slope(x + eps * step) - slope(x - eps * step)) / (2 * eps)
    assert (second * step).sum().item() == pytest.approx(difference.item(), rel=1e-5, abs=1e-6)
