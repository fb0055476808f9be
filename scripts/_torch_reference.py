"""Personalization in plain PyTorch, the other side of the benchmarks.

The arithmetic of the slides' listing, written from the paper and without a straw man:
the images lie decoded on the device, float32 as in jiaa, channels_last, fused Adam,
`cudnn.benchmark`. "eager" and "compile" take one user after another, as the released
program does; "vmap" takes all users at once (`torch.func`).
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn import functional

from jiaa.models.pretrained import (
    backbone_name,
    convert_state_dict,
    variable_shapes,
)
from jiaa.models.torch_names import targets

Parameters = dict[str, Tensor]


class Side(NamedTuple):
    """Image rows and unit scores of one side of an episode, one user or stacked."""

    rows: Tensor
    scores: Tensor


class Adam(NamedTuple):
    """What an inner loop is, apart from its network: Kingma and Ba's, fresh a user."""

    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


def place(model: nn.Module, device: str) -> nn.Module:
    """The model on the device, in the layout that is fastest there."""
    torch.backends.cudnn.benchmark = True
    return model.to(device).to(memory_format=torch.channels_last).train()


def settle(model: nn.Module, inputs: Tensor) -> None:
    """Gives BatchNorm the running statistics of these inputs, as after training."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(inputs)
    for norm in norms:
        norm.momentum = 0.1


def inputs_of(images: np.ndarray, device: str) -> Tensor:
    """uint8 images [image, height, width, 3] on the device, NCHW in channels_last."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2)


def features_of(features: np.ndarray, device: str) -> Tensor:
    """A frozen trunk's features [image, feature] on the device."""
    return torch.from_numpy(features).to(device)


def normalised(images: Tensor, spec: Any) -> Tensor:
    """Float images by a `PretrainedSpec`."""
    mean, std = (
        torch.tensor(values, device=images.device).reshape(3, 1, 1)
        for values in (spec.mean, spec.std)
    )
    return (images.float() / 255 - mean) / std


def squared_error(
    model: nn.Module, inputs: Tensor, scores: Tensor, part: str
) -> Tensor:
    """The mean squared error of unit scores; `part` is "whole" or "head"."""
    run = model if part == "whole" else model.head
    return functional.mse_loss(run(inputs), scores)


def descend(
    model: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    *,
    adam: Adam,
    part: str = "whole",
    compiled: bool = False,
) -> tuple[nn.Module, list[Tensor]]:
    """A copy of the model after one step on each batch, and the loss before each."""
    learner = copy.deepcopy(model)
    adapted = learner if part == "whole" else head_of(learner)
    optimizer = torch.optim.Adam(
        adapted.parameters(), lr=adam.rate, betas=adam.betas, eps=adam.eps, fused=True
    )
    # The compiled function takes parameters as inputs: one program serves all copies.
    loss_of = torch.compile(squared_error) if compiled else squared_error
    losses = []
    for inputs, scores in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(learner, inputs, scores, part)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return learner, losses


def head_of(model: nn.Module) -> nn.ModuleList:
    """The layers that adapt when the trunk is frozen."""
    layers = (model.dense1, model.score)
    return nn.ModuleList([layer for layer in layers if layer is not None])


def descend_together(
    model: nn.Module,
    batches: Sequence[tuple[Tensor, Tensor]],
    *,
    users: int,
    adam: Adam,
    part: str = "whole",
) -> tuple[Parameters, Parameters, list[Tensor]]:
    """All users' parameters and buffers [user, ...] after one step on each batch."""
    params, buffers = stack_module_state([model] * users)  # pyright: ignore
    fixed = {}
    if part == "head":
        fixed, buffers = dict(model.named_parameters()), {}
        params = {n: p for n, p in params.items() if not n.startswith("backbone.")}
    params = {name: leaf.detach() for name, leaf in params.items()}
    names = list(params)
    moments = [[torch.zeros_like(params[n]) for n in names] for _ in range(2)]

    def loss_of(params, buffers, inputs, scores):
        given = (inputs, scores)
        whole = prefixed({**fixed, **params}), prefixed(buffers)
        return functional_call(Loss(model, part), whole, given)

    step = vmap(grad_and_value(loss_of))
    losses = []
    for count, (inputs, scores) in enumerate(batches, 1):
        gradients, loss = step(params, buffers, inputs, scores)
        adam_step(
            [params[n] for n in names],
            [gradients[n] for n in names],
            moments,
            count=count,
            adam=adam,
        )
        losses.append(loss)
    return params, buffers, losses


def predict_together(
    model: nn.Module, params: Parameters, buffers: Parameters, inputs: Tensor, part: str
) -> Tensor:
    """Unit scores [user, image] by what `descend_together` reached."""
    fixed = {}
    if part == "head":
        fixed = dict(model.named_parameters())

    def predict(params, buffers, inputs):
        whole = prefixed({**fixed, **params}), prefixed(buffers)
        return functional_call(Scores(model, part), whole, (inputs,))

    return vmap(predict)(params, buffers, inputs)


class Scores(nn.Module):
    """The model, or its head alone, as a module."""

    def __init__(self, model: nn.Module, part: str):
        super().__init__()
        self.model, self.part = model, part

    def forward(self, inputs: Tensor) -> Tensor:
        """Unit scores."""
        return self.model(inputs) if self.part == "whole" else self.model.head(inputs)


class Loss(nn.Module):
    """`squared_error` as a module, which `functional_call` asks for."""

    def __init__(self, model: nn.Module, part: str):
        super().__init__()
        self.model, self.part = model, part

    def forward(self, inputs: Tensor, scores: Tensor) -> Tensor:
        """The loss of one batch."""
        return squared_error(self.model, inputs, scores, self.part)


def prefixed(tree: Mapping[str, Tensor]) -> Parameters:
    """The names that the model's tensors have inside `Loss`."""
    return {f"model.{name}": leaf for name, leaf in tree.items()}


def adam_step(
    params: list[Tensor],
    gradients: list[Tensor],
    moments: list[list[Tensor]],
    *,
    count: int,
    adam: Adam,
) -> None:
    """One step in place, of all tensors at once."""
    first, second = moments
    torch._foreach_lerp_(first, gradients, 1 - adam.betas[0])
    torch._foreach_mul_(second, adam.betas[1])
    torch._foreach_addcmul_(second, gradients, gradients, 1 - adam.betas[1])
    root = torch._foreach_sqrt(second)
    torch._foreach_div_(root, (1 - adam.betas[1] ** count) ** 0.5)
    torch._foreach_add_(root, adam.eps)
    scale = -adam.rate / (1 - adam.betas[0] ** count)
    torch._foreach_addcdiv_(params, first, root, scale)


def meta_iteration(
    model: nn.Module,
    images: Tensor,
    episodes: Sequence[tuple[Side, Side]],
    *,
    spec: Any,
    steps: int,
    adam: Adam,
    mode: str,
) -> tuple[Parameters, Tensor]:
    """Theta after one BLG iteration with beta = 1 / users, and the mean loss.

    Slides' listing, lines 4 to 11: `steps` steps on each user's support images and then
    on their query images; theta moves to the mean of what the users reached.
    """
    if mode == "vmap":
        levels = [stacked(images, spec, [e[i] for e in episodes]) for i in range(2)]
        batches = [level for level in levels for _ in range(steps)]
        reached, _, losses = descend_together(
            model, batches, users=len(episodes), adam=adam
        )
        return {n: p.mean(0) for n, p in reached.items()}, torch.stack(losses).mean()
    theta = {name: p.detach() for name, p in model.named_parameters()}
    total = {name: torch.zeros_like(p) for name, p in theta.items()}
    all_losses = []
    for episode in episodes:
        levels = [batch_of(images, spec, side) for side in episode]
        batches = [level for level in levels for _ in range(steps)]
        learner, losses = descend(model, batches, adam=adam, compiled=mode == "compile")
        torch._foreach_add_(
            list(total.values()), [p.detach() for p in learner.parameters()]
        )
        all_losses += losses
    reached = {name: leaf / len(episodes) for name, leaf in total.items()}
    return reached, torch.stack(all_losses).mean()


def batch_of(images: Tensor, spec: Any, side: Side) -> tuple[Tensor, Tensor]:
    """One user's inputs and unit scores."""
    inputs = normalised(images[side.rows], spec)
    return inputs.contiguous(memory_format=torch.channels_last), side.scores


def stacked(images: Tensor, spec: Any, sides: Sequence[Side]) -> tuple[Tensor, Tensor]:
    """Inputs and unit scores of all users, with the user in front."""
    rows, scores = (torch.stack(leaves) for leaves in zip(*sides, strict=True))
    return normalised(images[rows], spec), scores


def to_variables(state: Mapping[str, Tensor], model: Any) -> dict[str, Any]:
    """Variables {"params", "batch_stats"} of jiaa's `Aesthetic` from the reference's.

    A backbone's classifier, which the reference lacks and no score depends on, is 0.
    """
    arrays = {name: leaf.detach().cpu().numpy() for name, leaf in state.items()}
    expected = targets(backbone_name(model.backbone), variable_shapes(model.backbone))
    backbone = {
        name.removeprefix("backbone.").removeprefix("trunk."): array
        for name, array in arrays.items()
        if name.startswith("backbone.")
    }
    for name, target in expected.items():
        backbone.setdefault(name, np.zeros(target.torch_shape, np.float32))
    trunk = convert_state_dict(backbone, model.backbone)
    head = {
        layer: {
            "kernel": arrays[f"{layer}.weight"].T,
            "bias": arrays[f"{layer}.bias"],
        }
        for layer in ("dense1", "score")
        if f"{layer}.weight" in arrays
    }
    return {
        "params": {"backbone": trunk["params"], "head": head},
        "batch_stats": {"backbone": trunk["batch_stats"]},
    }
