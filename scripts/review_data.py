"""Statistics of a dataset's reviews (CFAN's Table 1, Fig. 2, eq. 7), in reviews.md.

python scripts/review_data.py --config configs/cfan/synthetic_reviews.py --workdir DIR
"""

from jiaa.cli.collaborative import describe
from jiaa.cli.launch import launch

if __name__ == "__main__":
    launch(describe)
