"""The embedded world: procedural photographs and raters whose taste is known.

`flickr_aes_view` makes a data set of FLICKR-AES' shape with nothing downloaded,
`oracles` says what perfect models would reach on it, `write_folder` lets one look at
it. Wherever its numbers appear they are called synthetic.
"""

from jiaa.data.synthetic.export import write_folder
from jiaa.data.synthetic.oracle import Oracles, oracles
from jiaa.data.synthetic.views import Gold, SyntheticView, Truth, flickr_aes_view
from jiaa.data.synthetic.world import ATTRIBUTES, CONTENTS, TRAITS, VERSION

__all__ = [
    "ATTRIBUTES",
    "CONTENTS",
    "TRAITS",
    "VERSION",
    "Gold",
    "Oracles",
    "SyntheticView",
    "Truth",
    "flickr_aes_view",
    "oracles",
    "write_folder",
]
