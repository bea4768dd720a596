"""The planner's model: sequences, sampling, and loading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from o3gym.policies.planner.layout import SequenceLayout
from o3gym.policies.planner.model import Planner, build_planner, load_planner
from tests.policies.planner.planner_toys import Corners, full_tokenizer, toy_planner

STATES = torch.tensor([[82, *range(9)], [82, *range(9, 18)], [82, *range(20, 29)]])


def plain_planner(vocabulary: int = 20, layout: SequenceLayout | None = None) -> Planner:
    """A user's model: pictures of four codes, and sequences without any marks."""
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        bos_token_id=None,
        eos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Planner(LlamaForCausalLM(config).eval(), Corners(), layout or SequenceLayout())


def test_the_default_model_is_small_and_has_the_same_size_in_both_forms() -> None:
    before = torch.random.get_rng_state()
    sizes = {sum(p.numel() for p in build_planner(full_tokenizer(), form).model.parameters()) for form in FORMS}
    assert len(sizes) == 1
    assert 700_000 < sizes.pop() < 1_000_000
    assert torch.equal(torch.random.get_rng_state(), before)


FORMS = ("picture", "words")


def test_equal_seeds_give_equal_weights() -> None:
    first, second, other = (toy_planner(seed=seed).model.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("sizes", [{"layers": 0}, {"width": 10, "heads": 4}, {"heads": 0}, {"form": "poem"}])
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(sizes))):
        build_planner(full_tokenizer(), **sizes)  # type: ignore[arg-type]


def test_a_sequence_has_its_marks() -> None:
    planner = toy_planner()
    layout, codes = planner.layout, planner.tokenizer.codes
    assert (layout.begin, layout.separator, layout.end) == (codes, codes + 1, codes + 2)
    assert planner.prompts(STATES)[0].tolist() == [codes, *STATES[0].tolist(), codes + 1]
    assert planner.endings(STATES)[0].tolist() == [*STATES[0].tolist(), codes + 2]
    plain = plain_planner()
    assert torch.equal(plain.prompts(STATES), STATES)
    assert torch.equal(plain.endings(STATES), STATES)


@pytest.mark.parametrize("temperature", [0.0, 1.3])
def test_sampling_with_the_cache_agrees_with_a_pass_without_it(temperature: float) -> None:
    planner = toy_planner()
    drawn = planner.sample(STATES, temperature, torch.Generator().manual_seed(1))
    expected = planner.log_probabilities(STATES, drawn.tokens, temperature or 1.0)
    assert torch.allclose(drawn.logprobs, expected * drawn.mask, atol=1e-5)
    if temperature == 0:
        best = planner.read_whole(planner.prompts(STATES), drawn.tokens, STATES.shape[1]).argmax(-1)
        assert torch.equal(best.where(drawn.mask, drawn.tokens), drawn.tokens)


def test_positions_start_again_after_the_separator() -> None:
    planner = toy_planner()
    places = planner.positions(3, 0, 9)["position_ids"]
    assert places.tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4]]
    assert torch.equal(planner.positions(3, 5, 2)["position_ids"], places[:, 5:7])
    assert plain_planner().positions(3, 0, 9) == {}


def test_what_is_written_sees_the_state_although_its_positions_start_again() -> None:
    """Transformers takes such positions for packed sequences, whose tokens must not see each other."""
    planner, (first, second) = toy_planner(), STATES[:2]
    written = torch.tensor([[1, 2, 3]])
    one, other = (planner.log_probabilities(state[None], written) for state in (first, second))
    assert not torch.allclose(one[:, 1:], other[:, 1:])


def test_sampling_follows_the_distribution() -> None:
    planner = plain_planner()
    state = torch.tensor([[1, 2, 3, 4]])
    drawn = planner.sample(state.expand(4000, 4), 1.0, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn.tokens[:, 0], minlength=20) / 4000
    chances = planner.model(state).logits[0, -1].softmax(-1)
    assert torch.allclose(counts, chances, atol=0.02)


def test_a_row_depends_on_its_own_numbers_only() -> None:
    planner = toy_planner()
    numbers = torch.rand(3, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    temperatures = torch.tensor([0.0, 1.0, 0.7])
    together = planner.sample_with(STATES, temperatures, numbers)
    for row in range(3):
        alone = planner.sample_with(STATES[row : row + 1], temperatures[row : row + 1], numbers[row : row + 1])
        length = int(alone.mask.sum())
        assert alone.tokens[0, :length].tolist() == together.tokens[row, : int(together.mask[row].sum())].tolist()


def test_what_follows_end_is_padding() -> None:
    planner = toy_planner("words")
    end = planner.layout.end
    assert end is not None
    with torch.no_grad():
        planner.model.lm_head.weight[end] = planner.model.lm_head.weight.sum(0) * 3
    drawn = planner.sample(STATES, 1.0, torch.Generator().manual_seed(3))
    for tokens, mask, logprobs in zip(drawn.tokens.tolist(), drawn.mask.tolist(), drawn.logprobs.tolist(), strict=True):
        length = tokens.index(end) + 1 if end in tokens else len(tokens)
        assert mask == [i < length for i in range(len(tokens))]
        assert set(tokens[length:]) <= {end}
        assert set(logprobs[length:]) <= {0.0}


def test_only_a_whole_picture_is_a_picture() -> None:
    planner = toy_planner()
    end = planner.layout.end
    good = STATES[0].tolist()
    assert planner.picture_of([*good, end]) is not None
    assert planner.picture_of([*good, end, end, end]) is not None
    for wrong in (good, [end], [], [*good[:-1], end], [*good[:-1], planner.layout.begin, end], [*good, 3, end]):
        assert planner.picture_of(wrong) is None
    plain = plain_planner()
    assert plain.picture_of([1, 2, 3, 4]) is not None
    assert plain.picture_of([1, 2, 3, 16]) is None


def test_moves_are_written_and_read() -> None:
    planner = toy_planner("words")
    tokens = planner.move_tokens(["up", "pick", "drop"])
    assert planner.moves_of([*tokens, planner.layout.end]) == ["up", "pick", "drop"]
    assert planner.moves_of(tokens) is None
    assert planner.moves_of([0, planner.layout.end]) is None


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_planner_is_loaded_as_it_was(tmp_path: Path, form: str) -> None:
    planner = toy_planner(form)
    planner.save(tmp_path)
    loaded = load_planner(tmp_path)
    assert loaded.layout == planner.layout
    assert loaded.tokenizer.codes == planner.tokenizer.codes
    assert torch.equal(loaded.sample(STATES).tokens, planner.sample(STATES).tokens)


def test_a_model_of_the_users_own_needs_no_description(tmp_path: Path) -> None:
    planner = plain_planner()
    planner.model.save_pretrained(tmp_path)
    loaded = load_planner(tmp_path, Corners())
    state = torch.tensor([[1, 2, 3, 4]])
    assert loaded.layout == SequenceLayout()
    assert loaded.sample(state).tokens.shape == (1, 4)
    assert torch.equal(loaded.sample(state).tokens, planner.sample(state).tokens)


DESCRIPTIONS = {
    "[1]": "expected an object",
    "{": "Expecting",
    '{"form": "poem"}': "form: expected one of picture, words",
    '{"end": "x"}': "end: expected a whole number",
    '{"end": true}': "end: expected a whole number",
    '{"moves": 3}': "moves: expected an object",
    '{"moves": {"up": null}}': r"moves\.up: expected a whole number",
    '{"form": "words"}': "needs end and moves",
    '{"begin": 3}': "begin: expected an id from 16 to 19, got 3",
    '{"end": 20}': "end: expected an id from 16 to 19, got 20",
    '{"sep": 17}': "unknown key 'sep'",
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_malformed_description_is_named(tmp_path: Path, text: str) -> None:
    plain_planner().model.save_pretrained(tmp_path)
    (tmp_path / "planner.json").write_text(text)
    with pytest.raises(ValueError, match=rf"planner\.json: .*{DESCRIPTIONS[text]}"):
        load_planner(tmp_path, Corners())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"with a config\.json"):
        load_planner(tmp_path, Corners())
    plain_planner(15).model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"there is no tokenizer\.npz; name a tokenizer"):
        load_planner(tmp_path)
    with pytest.raises(ValueError, match="15 ids, fewer than the 16 codes"):
        load_planner(tmp_path, Corners())
    with pytest.raises(ValueError, match="cannot load the model"):
        load_planner(tmp_path, Corners(), "a toaster")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nothing"}))
    with pytest.raises(ValueError, match="cannot load the model"):
        load_planner(tmp_path, Corners())
