"""The `jiaa` command: experiments from their configs, and a person's own photographs.

jiaa train       --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg
jiaa evaluate    --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg
jiaa report      runs/ba runs/blg -o report.html
jiaa score       PHOTOS [--prior runs/blg] [--user taste.safetensors] -o scores.csv
jiaa rate        PHOTOS [--prior runs/blg]
jiaa personalize --ratings ratings.csv --photos PHOTOS [--prior runs/blg]

`jiaa COMMAND --help` lists a command's options.
"""

import sys

EXPERIMENTS = ("train", "evaluate")
PHOTOS = ("score", "personalize", "rate")
COMMANDS = (*EXPERIMENTS, "report", *PHOTOS)


def main() -> None:
    """Runs the command that the first argument names; the rest are its flags."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(__doc__)
        return
    if name not in COMMANDS:
        sys.exit(f"jiaa: unknown command {name!r}; known: {', '.join(COMMANDS)}")
    # Imported here: `jiaa --help` should not wait for JAX.
    if name in EXPERIMENTS:
        from jiaa.cli import run
        from jiaa.cli.launch import launch

        del sys.argv[1]
        # What absl prints for --help: of a console script it has nothing to say.
        sys.modules["__main__"].__doc__ = (
            f"{getattr(run, name).__doc__.splitlines()[0]}\n\n"
            f"jiaa {name} --config CONFIG.py --workdir FOLDER "
            "[--config.FIELD=VALUE ...]\n\nconfigs/common.py documents the fields; "
            "the docstring of a config is its record.\n"
        )
        launch(getattr(run, name))
        return
    from jiaa.cli import photos

    if name == "report":
        from jiaa.cli.reports import report as command
    else:
        command = getattr(photos, name)
    sys.exit(photos.run(command, sys.argv[2:]))
