"""From images to features and scores: backbones, heads, generic models, weights."""
