"""Both commands in one process, which starts and reads the dataset's files once."""

from jiaa.cli import run
from jiaa.cli.launch import launch


def train_and_evaluate(config, workdir):
    """What both say."""
    return f"{run.train(config, workdir)} and {run.evaluate(config, workdir)}"


if __name__ == "__main__":
    launch(train_and_evaluate)
