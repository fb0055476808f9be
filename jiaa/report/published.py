"""Numbers as their papers print them: none of them was rerun here.

Each stands with the dataset that it was measured on, and is shown beside ours in a
column of its own.

- slides2020: Li, "Personalized Image Aesthetics Assessment", slides of 2020-05-27,
  Tables I and II (BLG-PIAA: Zhu et al., IEEE TCYB 2020).
- tip2020: Li et al., PA_IAA, IEEE TIP 2020, Tables I and V.
- icme2019: Li et al., PDMTL, ICME 2019, Tables 1 and 2.
"""

import dataclasses

NOTE = "published, not rerun here"


@dataclasses.dataclass(frozen=True)
class Published:
    """One published number.

    Attributes:
      method: key of the method as in configs; methods that jiaa lacks have one too.
      label: the row's name in the paper.
      dataset: what it was measured on, in the paper's words.
      metric: `srocc`, `plcc`, `rmse`, `acc` (percent) or `emd`.
      mean: the number.
      std: its spread over repeats, where printed.
      shots: ratings of each user learned from; None for generic models.
      backbone: the network, where the table tells.
      source: paper and table.
    """

    method: str
    label: str
    dataset: str
    metric: str
    mean: float
    std: float | None
    shots: int | None
    backbone: str | None
    source: str


# method, label, source: (mean, std) at 10 and at 100 ratings of each of the 37 users.
_FLICKR_AES = {
    ("fpmf", "FPMF (only attribute)", "tip2020 V"): ((0.511, 0.004), (0.516, 0.003)),
    ("fpmf", "FPMF (only content)", "tip2020 V"): ((0.512, 0.002), (0.516, 0.010)),
    ("fpmf", "FPMF", "tip2020 V"): ((0.513, 0.003), (0.524, 0.007)),
    ("pam", "PAM (only attribute)", "tip2020 V"): ((0.518, 0.003), (0.539, 0.013)),
    ("pam", "PAM (only content)", "tip2020 V"): ((0.515, 0.004), (0.535, 0.017)),
    ("pam", "PAM", "tip2020 V"): ((0.520, 0.003), (0.553, 0.012)),
    ("usar", "USAR_PPR", "tip2020 V"): ((0.521, 0.002), (0.544, 0.007)),
    ("usar", "USAR_PAD", "tip2020 V"): ((0.520, 0.003), (0.537, 0.003)),
    ("usar", "USAR_PPR&PAD", "tip2020 V"): ((0.525, 0.004), (0.552, 0.015)),
    ("mt_iaa", "MT_IAA", "tip2020 V"): ((0.523, 0.004), (0.582, 0.014)),
    ("pa_iaa", "PA_IAA", "tip2020 V"): ((0.543, 0.003), (0.639, 0.011)),
    ("ba_piaa", "BA-PIAA", "slides2020 I"): ((0.524, 0.004), (0.583, 0.014)),
    ("blg_piaa", "BLG-PIAA", "slides2020 I"): ((0.561, 0.005), (0.669, 0.013)),
}

# BA-PIAA on ResNet18 has a spread of 0.014 in Table I and of 0.006 in Table II.
_BACKBONES = {
    ("alexnet", "ba_piaa"): ((0.491, 0.002), (0.556, 0.007)),
    ("alexnet", "blg_piaa"): ((0.534, 0.003), (0.624, 0.011)),
    ("resnet18", "ba_piaa"): ((0.524, 0.004), (0.583, 0.006)),
    ("resnet18", "blg_piaa"): ((0.561, 0.005), (0.669, 0.013)),
    ("inception_v3", "ba_piaa"): ((0.519, 0.004), (0.576, 0.009)),
    ("inception_v3", "blg_piaa"): ((0.548, 0.006), (0.651, 0.016)),
}

# method, label, dataset, backbone, source: metric -> number, of generic models.
_GENERIC = {
    ("pa_iaa", "PA_IAA", "AVA", "inception_v3", "tip2020 I"): {
        "acc": 83.7,
        "srocc": 0.677,
        "emd": 0.047,
    },
    ("nima", "NIMA", "AVA", "inception_v2", "tip2020 I"): {
        "acc": 81.5,
        "srocc": 0.612,
        "emd": 0.050,
    },
    ("pdmtl", "PDMTL", "AVA", "densenet121", "icme2019 1"): {"acc": 81.5},
    # An RMSE of 0.016 cannot be a root of the squared errors of such scores: see MSE.
    ("pdmtl", "PDMTL", "AADB", "densenet121", "icme2019 2"): {
        "srocc": 0.680,
        "plcc": 0.702,
        "rmse": 0.016,
    },
}

LABELS = {
    "ba_piaa": "BA-PIAA",
    "blg_piaa": "BLG-PIAA",
    "r2d2": "R2-D2",
    "ridge": "ridge",
    "pdmtl": "PDMTL",
    "pa_iaa": "PA_IAA",
    "mt_iaa": "MT_IAA",
    "pam": "PAM",
    "fpmf": "FPMF",
    "svm": "SVM",
    "nima": "NIMA",
}
BACKBONE_LABELS = {
    "alexnet": "AlexNet",
    "resnet18": "ResNet18",
    "inception_v3": "Inception-v3",
    "squeezenet": "SqueezeNet 1.1",
}


def flickr_aes() -> tuple[Published, ...]:
    """Slides' Table I with PA_IAA's rows: SROCC on FLICKR-AES, 37 users, 50 repeats."""
    return tuple(
        Published(method, label, "FLICKR-AES", "srocc", mean, std, shots, None, source)
        for (method, label, source), pairs in _FLICKR_AES.items()
        for shots, (mean, std) in zip((10, 100), pairs, strict=True)
    )


def backbones() -> tuple[Published, ...]:
    """Slides' Table II: BA-PIAA and BLG-PIAA by backbone, SROCC on FLICKR-AES."""
    return tuple(
        Published(
            method,
            LABELS[method],
            "FLICKR-AES",
            "srocc",
            mean,
            std,
            shots,
            backbone,
            "slides2020 II",
        )
        for (backbone, method), pairs in _BACKBONES.items()
        for shots, (mean, std) in zip((10, 100), pairs, strict=True)
    )


def generic() -> tuple[Published, ...]:
    """Generic models on AVA and AADB."""
    return tuple(
        Published(method, label, dataset, metric, value, None, None, backbone, source)
        for (method, label, dataset, backbone, source), values in _GENERIC.items()
        for metric, value in values.items()
    )
