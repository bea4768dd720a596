"""`o3gym synth`: the group of the commands that make or select tasks."""

from __future__ import annotations

from o3gym.cli.synth.chains import add_synth_chains
from o3gym.cli.synth.collage import add_synth_collage
from o3gym.cli.synth.demonstrations import add_synth_demonstrations
from o3gym.cli.synth.mistakes import add_synth_mistakes
from o3gym.cli.synth.questions import add_synth_questions
from o3gym.cli.synth.regions import add_synth_regions
from o3gym.cli.synth.select import add_synth_select
from o3gym.cli.synth.thyme import add_synth_thyme
from o3gym.cli.synth.verify import add_synth_verify
from o3gym.cli.values import Subcommands


def add_synth(commands: Subcommands) -> None:
    """Adds `synth` and its subcommands to the commands of `o3gym`."""
    group = commands.add_parser("synth", help="make tasks (collages, region searches, questions) or select hard ones")
    kinds = group.add_subparsers(required=True, metavar="KIND")
    for add in (
        add_synth_collage,
        add_synth_select,
        add_synth_regions,
        add_synth_questions,
        add_synth_demonstrations,
        add_synth_chains,
        add_synth_mistakes,
        add_synth_thyme,
        add_synth_verify,
    ):
        add(kinds)
