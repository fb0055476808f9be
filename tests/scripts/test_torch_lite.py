"""EfficientNet-Lite of the benchmarks' PyTorch, against the published program."""

import pytest

torch = pytest.importorskip("torch")


def test_features_are_those_of_the_published_program():
    program = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="needs the extra: pip install jiaa[torch]"
    )
    from scripts._torch_networks import NETWORKS
    from scripts._torch_reference import settle

    theirs = program.EfficientNet.from_name("efficientnet-lite2", image_size=None)
    ours = NETWORKS["efficientnet_lite2"]()
    state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("_fc")}
    ours.load_state_dict(state)
    x = torch.randn(4, 3, 45, 62, generator=torch.Generator().manual_seed(0))
    settle(ours, x)
    theirs.load_state_dict({**theirs.state_dict(), **ours.state_dict()})
    with torch.no_grad():
        expected = theirs.eval().extract_features(x).mean((2, 3))
        found = ours.eval()(x)
    assert expected.std() > 0.01
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
