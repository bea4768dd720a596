from __future__ import annotations

import pytest

from o3gym.judges.base import Judgement
from o3gym.registry import REWARDS, UnknownName
from o3gym.rewards import recipes
from o3gym.rewards.base import RewardRecipe
from o3gym.rewards.recipes import make_recipe
from o3gym.rewards.settle import settle
from tests.rewards.reward_episodes import FULL, episode, look, mistake, replying, search, task

LEFT, TOP_LEFT = (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 0.5)
ALL = {recipe.name: recipe for recipe in vars(recipes).values() if isinstance(recipe, RewardRecipe)}


def rewards(recipe, *group):
    return [each.reward for each in settle([group], recipe)[0]]


def reward(recipe, trajectory):
    return rewards(recipe, trajectory)[0]


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_registered_names(name):
    recipe = make_recipe(name)
    assert recipe is ALL[name]
    assert recipe.source
    assert len({term.name for term in recipe.terms}) == len(recipe.terms)
    assert isinstance(recipe.combine({term.name: 0.0 for term in recipe.terms}), float)


def test_an_unknown_recipe_names_the_closest():
    with pytest.raises(UnknownName, match='did you mean "deepeyes"'):
        make_recipe("deepeye")


def test_which_recipes_wait_for_settle():
    assert {name for name in ALL if not ALL[name].pending} == {"outcome", "iou", "mini_o3", "vprl", "vprl_search"}


def test_outcome_and_mini_o3():
    half = search((0.0, 0.0, 0.5, 0.8), targets=[LEFT])
    assert reward(recipes.OUTCOME, half) == pytest.approx(0.8)
    assert reward(recipes.MINI_O3, half) == 1.0
    assert reward(recipes.MINI_O3, episode(task(), said="A")) == 0.0
    assert reward(recipes.IOU, half) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("trajectory", "value"),
    [
        (search(LEFT, look(LEFT), targets=[LEFT]), 1.0),
        (search(LEFT, targets=[LEFT]), 0.0),
        (search(LEFT, look(LEFT), targets=[LEFT], well_formed=False), 0.8),
        (search(TOP_LEFT, look(LEFT), targets=[LEFT]), 0.2 + 0.8 / 3),
        (search(None, look(LEFT), targets=[LEFT]), 0.2),
        (search(None, look(LEFT)), 1.0),
    ],
)
def test_insight_o3(trajectory, value):
    assert reward(recipes.INSIGHT_O3, trajectory) == pytest.approx(value)


@pytest.mark.parametrize(
    ("trajectory", "value"),
    [
        (search(LEFT, look(LEFT), targets=[LEFT]), 1.0),
        (search(LEFT, targets=[LEFT]), 0.0),
        (search(LEFT, look(LEFT), targets=[LEFT], well_formed=False), 0.0),
        (search(LEFT, look(LEFT), look(LEFT), targets=[LEFT]), 0.0),
        (search(LEFT, look(FULL), targets=[LEFT]), 0.0),
        (search(TOP_LEFT, look(LEFT), targets=[LEFT]), 0.2 + 0.8 / 3),
        (search(None, look(LEFT), targets=[LEFT]), 0.2),
    ],
)
def test_insight_o3_as_released(trajectory, value):
    assert reward(recipes.INSIGHT_O3_CODE, trajectory) == pytest.approx(value)


def test_insight_o3_in_loop_formulas():
    values = {"used_tool": 1.0, "fresh_looks": 1.0, "format": 1.0, "pseudo_iou": 1.0}
    assert recipes.INSIGHT_O3_IN_LOOP.combine(values) == pytest.approx(1.0)
    assert recipes.INSIGHT_O3_IN_LOOP.combine({**values, "format": 0.0}) == pytest.approx(0.8)
    assert recipes.INSIGHT_O3_IN_LOOP.combine({**values, "pseudo_iou": 0.0}) == pytest.approx(0.2)
    assert recipes.INSIGHT_O3_IN_LOOP.combine({**values, "used_tool": 0.0}) == 0.0
    assert recipes.INSIGHT_O3_CODE_IN_LOOP.combine(values) == pytest.approx(1.0)
    assert recipes.INSIGHT_O3_CODE_IN_LOOP.combine({**values, "format": 0.0}) == 0.0


@pytest.mark.parametrize("name", ["NO_TOOL", "IN_LOOP_NO_TOOL", "IN_LOOP_NO_FEEDBACK", "IN_LOOP_NO_OUTCOME"])
def test_ablations_of_insight_o3(name):
    recipe = getattr(recipes, f"INSIGHT_O3_{name}")
    gate = "used_tool" in {term.name for term in recipe.terms}
    values = {term.name: 1.0 for term in recipe.terms}
    assert recipe.combine(values) == pytest.approx(1.0)
    assert recipe.combine({**values, recipe.terms[-1].name: 0.0}) == pytest.approx(0.2)
    assert recipe.combine({**values, "format": 0.0}) == pytest.approx(0.8)
    assert gate == (not name.endswith("NO_TOOL"))
    assert not gate or recipe.combine({**values, "used_tool": 0.0}) == 0.0


@pytest.mark.parametrize(
    ("trajectory", "value"),
    [
        (episode(task(), look(LEFT), said="B"), 2.0),
        (episode(task(), said="B"), 0.8),
        (episode(task(), look(LEFT), said="A"), 0.0),
        (episode(task(), look(LEFT), said="B", well_formed=False), 2.0),
        (episode(task(), said="A", well_formed=False), 0.0),
        (replying(episode(task(), said="A"), "<think>a<answer>A</answer>"), -0.2),
        (episode(task()), 0.0),
    ],
)
def test_deepeyes(trajectory, value):
    assert reward(recipes.DEEPEYES, trajectory) == pytest.approx(value)


@pytest.mark.parametrize(
    ("texts", "mini_o3", "mini_o3_code", "deepeyes", "thyme"),
    [
        (["<think>a</think> <answer>B</answer>"], 1, 1, 0.8, 1.5),
        (["<answer>A</answer>", "<answer>B</answer>"], 1, 0, 0.8, 0.5),
        (["<answer>B</answer>", "<answer>A</answer>"], 0, 1, 0.0, 1.5),
        (["<think>a</think>\n\n<answer>B</answer>"], 1, 1, 0.8, 1.0),
        (["<answer>B"], 1, 0, 0.6, 0.5),
        (["the answer is B"], 1, 1, 0.8, 1.5),  # in the words of another dialect
    ],
)
def test_systems_read_the_answer_from_all_replies(texts, mini_o3, mini_o3_code, deepeyes, thyme):
    said = "A" if "A</answer>" in texts[-1] else "B"
    looks = [mistake()] * (len(texts) - 1)
    trajectory = replying(episode(task(), *looks, said=said, thought=""), *texts)
    names = ("MINI_O3", "MINI_O3_CODE", "DEEPEYES", "THYME")
    given = [reward(getattr(recipes, name), trajectory) for name in names]
    assert given == pytest.approx([mini_o3, mini_o3_code, deepeyes, thyme])
    assert settle([[trajectory]], recipes.MINI_O3_CODE)[0][0].answer == said  # the episode's own answer is kept


def test_a_judge_is_asked_about_the_answer_that_the_recipe_reads():
    asked = []

    def judge(task, answer, located):
        asked.append(answer)
        return Judgement("correct", 1.0)

    trajectory = replying(episode(task(), mistake(), said="B"), "<answer>A</answer>", "<answer>B</answer>")
    for recipe in (recipes.MINI_O3, recipes.MINI_O3_CODE):
        settle([[trajectory]], recipe, judge)
    assert asked == ["B", "A"]


def test_a_located_box_is_not_read_from_text():
    trajectory = replying(search(None), '<answer>{"bbox_2d": null}</answer>')
    assert reward(recipes.MINI_O3_CODE, trajectory) == 1.0


def test_pixel_reasoner():
    group = [
        episode(task(), look(LEFT), said="B"),
        episode(task(), look(LEFT), look(FULL), said="A"),
        *[episode(task(), said="B")] * 4,
        episode(task(), said="A"),
        episode(task()),
    ]
    assert rewards(recipes.PIXEL_REASONER, *group) == pytest.approx([1.025, -0.025, 1, 1, 1, 1, 0, -1])
    assert rewards(recipes.PIXEL_REASONER_PAPER, *group) == pytest.approx([1.025, -0.025, 1, 1, 1, 1, 0, 0])


def test_pixel_reasoner_unresolved_error_is_its_own():
    """In a second group the failure belongs to the rollout that had it, not to its namesake in the first group."""
    failing, fine = episode(task(), mistake(), said="B"), episode(task(), said="B")
    settled = settle([[fine] * 4, [failing, fine, fine, fine]], recipes.PIXEL_REASONER)
    assert [[t.terms["pixel_accuracy"] for t in group] for group in settled] == [[1, 1, 1, 1], [0, 1, 1, 1]]


@pytest.mark.parametrize(
    ("trajectory", "value", "signed"),
    [
        (episode(task(), said="B"), 2.0, 2.0),
        (episode(task(), said="B", thought="no idea"), 1.5, 1.5),
        (episode(task(), said="B", well_formed=False), 1.5, 1.5),
        (episode(task(), said="A", thought="so A"), 0.5, -0.5),
        (episode(task()), 0.0, 0.0),
    ],
)
def test_thyme(trajectory, value, signed):
    assert reward(recipes.THYME, trajectory) == pytest.approx(value)
    assert reward(recipes.THYME_CODE, trajectory) == pytest.approx(signed)


def test_vprl_search():
    walk = episode(task(targets=[TOP_LEFT]), look(LEFT), mistake(), look(TOP_LEFT), said="B")
    settled = settle([[walk]], recipes.VPRL_SEARCH)[0][0]
    assert settled.terms == {"progress": -4.0, "outcome": 1.0}  # +1, −5, found already, no move
    assert settled.reward == -3.0
