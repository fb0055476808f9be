"""PAM's tables and figures (ICCV 2017), on a finished generic run.

python scripts/pam.py --config configs/pam/synthetic_resnet18.py --workdir runs/pam \
    --config.prior=runs/ba
"""

from jiaa.cli.launch import launch
from jiaa.cli.pam import run

if __name__ == "__main__":
    launch(run)
