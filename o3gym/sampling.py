"""How a policy samples a reply."""

from __future__ import annotations

from dataclasses import dataclass, field

from o3gym.arguments import check_real, check_seed, check_whole


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters of a reply. `seed` makes sampling reproducible if the backend supports it.

    If `choices` is not empty, only these replies are allowed (constrained decoding), which is how a rollout forces an
    answer in the last turn. Log-probabilities are then those of the constrained distribution.

    Attributes:
        temperature: divisor of the logits; 0 takes the most likely token.
        top_p: probability of the nucleus that tokens are drawn from; 1 for all tokens.
        max_tokens: maximum number of tokens of the reply.
        stop: strings that end the reply; they are kept in it.
        seed: seed of the reply's random numbers.
        choices: the only replies allowed; empty for free text.
        repetition_penalty: divisor of the positive logits, and factor of the negative ones, of every token that
            occurs in the context or in the reply so far (arXiv 1909.05858, section 4.1); 1 for none. It is applied
            before the temperature and restricts what is sampled, like `top_p`: the log-probabilities of a reply are
            those of the model without it.
        code_temperature: temperature of the tokens inside `code_tags`; None for `temperature` throughout.
        code_tags: the strings that open and close code in the reply: two, or none. A rollout takes them from the
            dialect.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 0
    choices: tuple[str, ...] = ()
    repetition_penalty: float = field(default=1.0, metadata={"json": "if set"})
    code_temperature: float | None = field(default=None, metadata={"json": "if set"})
    code_tags: tuple[str, ...] = field(default=(), metadata={"json": "if set"})

    def __post_init__(self) -> None:
        check_real("temperature", self.temperature, 0.0)
        check_real("top_p", self.top_p, 0.0, 1.0, above=True)
        check_whole("max_tokens", self.max_tokens, 1)
        check_seed(self.seed)
        check_real("repetition_penalty", self.repetition_penalty, 0.0, above=True)
        if self.code_temperature is not None:
            check_real("code_temperature", self.code_temperature, 0.0)
        if len(self.code_tags) not in (0, 2) or not all(self.code_tags):
            raise ValueError(f"code_tags: expected an opening and a closing tag, or none, got {self.code_tags!r}")
