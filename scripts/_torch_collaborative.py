"""CFAN-3 in PyTorch, written as its users would: the benchmark's other side."""

import numpy as np
import torch
from torch import nn


class CFAN(nn.Module):
    """`jiaa.models.collaborative.Collaborative` with its defaults and three tasks."""

    def __init__(self, users, images, *, tags, vocabulary, map_shape, width=50):
        """Sizes as there."""
        super().__init__()
        self.map_shape = map_shape
        self.user_table = nn.Embedding(users + 1, width)
        self.image_table = nn.Embedding(images + 1, width)
        self.words = nn.Embedding(vocabulary, 50)
        self.gru = nn.GRU(50, 50, batch_first=True, bidirectional=True)
        self.kernel = nn.Linear(100, map_shape[2])
        self.content = nn.Linear(map_shape[2], width)
        outputs = {"user": 1, "tag": tags, "crowd": 1}
        self.heads = nn.ModuleDict(
            {
                task: nn.Sequential(
                    nn.Linear(3 * width, 50), nn.ReLU(), nn.Linear(50, count)
                )
                for task, count in outputs.items()
            }
        )

    def forward(self, user, image, maps, words, length):
        """Logits of the three tasks."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.words(words), length, batch_first=True, enforce_sorted=False
        )
        _, states = self.gru(packed)
        annotation = torch.cat([states[0], states[1]], dim=1)
        kernel = torch.sigmoid(self.kernel(annotation))
        height, across, channels = self.map_shape
        maps = maps.view(-1, height * across, channels)
        weights = torch.softmax(maps * kernel[:, None], dim=1)
        content = self.content((weights * maps).sum(1))
        item = (1 + self.image_table(image)) * content
        factors = self.user_table(user)
        shared = torch.cat([factors * item, factors, item], dim=1)
        found = {task: head(shared) for task, head in self.heads.items()}
        return {task: x if task == "tag" else x[:, 0] for task, x in found.items()}


def set_weights(network: CFAN, params) -> None:
    """Copies jiaa's parameters."""
    with torch.no_grad():
        for ours, theirs in (
            ("user_table", network.user_table),
            ("image_table", network.image_table),
        ):
            theirs.weight.copy_(_tensor(params[ours]["embedding"]))
        network.words.weight.copy_(_tensor(params["encoder"]["words"]["embedding"]))
        for name in ("kernel", "content"):
            _copy(getattr(network, name), params[name])
        for task, head in network.heads.items():
            _copy(head[0], params[task]["Dense_0"])
            _copy(head[2], params[task]["Dense_1"])
        for direction, suffix in (("forward", ""), ("backward", "_reverse")):
            _copy_gru(network.gru, params["encoder"][direction], suffix)


def _tensor(array) -> torch.Tensor:
    return torch.from_numpy(np.array(array))


def _copy(layer: nn.Linear, params) -> None:
    layer.weight.copy_(_tensor(params["kernel"].T))
    layer.bias.copy_(_tensor(params["bias"]))


def _copy_gru(gru: nn.GRU, cell, suffix: str) -> None:
    width = cell["hn"]["kernel"].shape[0]
    for side, gates in (("ih", ("ir", "iz", "in")), ("hh", ("hr", "hz", "hn"))):
        weight = np.concatenate([cell[gate]["kernel"].T for gate in gates])
        none = np.zeros(width, np.float32)
        bias = np.concatenate([cell[gate].get("bias", none) for gate in gates])
        getattr(gru, f"weight_{side}_l0{suffix}").copy_(_tensor(weight))
        getattr(gru, f"bias_{side}_l0{suffix}").copy_(_tensor(bias))
