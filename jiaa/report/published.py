"""Numbers as their papers print them: none of them was rerun here.

Each stands with the dataset that it was measured on, and is shown beside ours in a
column of its own.

- slides2020: Li, "Personalized Image Aesthetics Assessment", slides of 2020-05-27,
  Tables I and II (BLG-PIAA: Zhu et al., IEEE TCYB 2020).
- tip2020: Li et al., PA_IAA, IEEE TIP 2020, Tables I to V.
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

# method, label, dataset, backbone, source: metric -> number, of generic models. AADB's
# RMSEs, from 0.016, cannot be roots of the squared errors of such scores: see MSE.
_GENERIC = {
    ("pa_iaa", "PA_IAA", "AVA", "inception_v3", "tip2020 I"): {
        "acc": 83.7,
        "srocc": 0.677,
        "emd": 0.047,
    },
    ("pa_iaa", "PA_IAA", "AVA", "densenet121", "tip2020 I"): {
        "acc": 82.9,
        "srocc": 0.666,
        "emd": 0.049,
    },
    ("pa_iaa", "PA_IAA (aesthetics)", "AVA", "inception_v3", "tip2020 I"): {
        "acc": 80.9,
        "srocc": 0.638,
        "emd": 0.050,
    },
    ("pa_iaa", "PA_IAA (aesthetics)", "AVA", "densenet121", "tip2020 I"): {
        "acc": 80.5,
        "srocc": 0.630,
        "emd": 0.051,
    },
    ("nima", "NIMA", "AVA", "inception_v2", "tip2020 I"): {
        "acc": 81.5,
        "srocc": 0.612,
        "emd": 0.050,
    },
    ("nima", "NIMA", "AVA", "vgg16", "tip2020 I"): {
        "acc": 80.6,
        "srocc": 0.592,
        "emd": 0.054,
    },
    ("kong", "Reg+Rank+Att+Cont", "AVA", "alexnet", "tip2020 I"): {
        "acc": 77.3,
        "srocc": 0.558,
    },
    ("kong", "Reg+Rank+Att", "AVA", "alexnet", "tip2020 I"): {
        "acc": 75.5,
        "srocc": 0.545,
    },
    ("kong", "Reg+Rank+Cont", "AVA", "alexnet", "tip2020 I"): {
        "acc": 73.4,
        "srocc": 0.541,
    },
    ("pa_iaa", "PA_IAA", "FLICKR-AES", "inception_v3", "tip2020 III"): {"srocc": 0.716},
    ("pdmtl", "PDMTL", "AVA", "densenet121", "icme2019 1"): {"acc": 81.5},
    ("pdmtl", "PDMTL (aesthetics)", "AVA", "densenet121", "icme2019 1"): {"acc": 76.1},
    ("pdmtl", "PDMTL", "AADB", "densenet121", "icme2019 2"): {
        "srocc": 0.680,
        "plcc": 0.702,
        "rmse": 0.016,
    },
    ("pdmtl", "PDMTL (aesthetics)", "AADB", "densenet121", "icme2019 2"): {
        "srocc": 0.637,
        "plcc": 0.668,
        "rmse": 0.022,
    },
    ("kong", "Reg", "AADB", "alexnet", "icme2019 2"): {
        "srocc": 0.624,
        "plcc": 0.618,
        "rmse": 0.029,
    },
    ("kong", "Reg+Rank", "AADB", "alexnet", "icme2019 2"): {
        "srocc": 0.652,
        "plcc": 0.657,
        "rmse": 0.024,
    },
    ("kong", "Reg+Rank+Att+Cont", "AADB", "alexnet", "icme2019 2"): {
        "srocc": 0.678,
        "plcc": 0.684,
        "rmse": 0.019,
    },
}

TRAITS = (
    "openness",
    "conscientiousness",
    "extraversion",
    "agreeableness",
    "neuroticism",
)
# PA_IAA's Table II: SROCC of predicted traits on PsychoFlickr, ten folds of users.
TRAIT_PREDICTION = {
    "PA_IAA (DenseNet121, personality)": (0.548, 0.647, 0.711, 0.638, 0.698),
    "PA_IAA (Inception-v3, personality)": (0.536, 0.654, 0.703, 0.651, 0.709),
    "PA_IAA (DenseNet121)": (0.567, 0.659, 0.722, 0.646, 0.708),
    "PA_IAA (Inception-v3)": (0.555, 0.668, 0.715, 0.662, 0.717),
}
# PA_IAA's Table IV: SROCC of the generic score and each trait, by test database.
TRAIT_CORRELATION = {
    "AVA": (-0.0753, 0.6752, -0.1034, 0.4633, -0.3864),
    "FLICKR-AES": (-0.1463, 0.8421, -0.2347, 0.6457, -0.6355),
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
    "kong": "Kong",
    "bpr": "BPR",
    "vbpr": "VBPR",
    "mtrlcnn": "MTRLCNN",
    "cfn_pure": "CFN_pure-2task",
    "cfn_1": "CFN-1",
    "cfan_1": "CFAN-1",
    "cfan_2": "CFAN-2",
    "cfan_3": "CFAN-3",
    "review_only": "review only",
}
BACKBONE_LABELS = {
    "alexnet": "AlexNet",
    "densenet121": "DenseNet121",
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
