"""Estimates what a run costs in requests, pictures and tokens, before its policy is asked anything.

A scripted stand-in plays some of the tasks in the real environment, in the arm and dialect of the policy and with its
exemplars. Every request that the policy would receive is measured. Texts are measured in characters and pictures in
pixels, because only the policy's server knows its tokenizer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.bench.definition import Bench, policy_classes
from o3gym.dialects.base import make_dialect
from o3gym.envs.visual_search import VisualSearchEnv
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import Message, Picture, Request
from o3gym.rollout.delegation import delegates, is_pair
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Agent, Arm, Job
from o3gym.types import EpisodeKey, Reply, Size

CHARACTERS_PER_TOKEN = 4
"""Characters of English text that become one token, as a rule of thumb; digits, of which calls have many, do not."""
PIXELS_PER_TOKEN = 28 * 28
"""Pixels that become one token in Qwen2-VL and Qwen2.5-VL. Qwen3-VL has fewer tokens, one for 32 × 32 pixels."""
MESSAGE_TOKENS = 8
"""Tokens around each message and each picture: role, separators and frame."""
FEEDBACK_TOKENS = 100
"""Allowance for the text of an observation in the price at most."""
SEARCHING_STAND_IN, ASKING_STAND_IN = "detour", "asker"
"""The policies that play in place of a model, and in place of a reasoner who delegates its searches."""


@dataclass(frozen=True)
class Price:
    """What a run costs.

    Attributes:
        requests: number of requests to the policy.
        pictures: number of pictures in all requests together; a picture counts once for every request that has it.
        prompt_tokens: number of tokens in all requests together.
        completion_tokens: number of tokens that the policy generates.
    """

    requests: int = 0
    pictures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Price) -> Price:
        return Price(
            self.requests + other.requests,
            self.pictures + other.pictures,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )

    def scaled(self, factor: float) -> Price:
        """Returns the price of `factor` times as much, rounded up."""
        values = (self.requests, self.pictures, self.prompt_tokens, self.completion_tokens)
        return Price(*(math.ceil(value * factor) for value in values))

    def lines(self) -> list[str]:
        """Returns one line of text for each quantity."""
        return [
            f"requests           {self.requests:>14,}",
            f"pictures           {self.pictures:>14,}",
            f"prompt tokens      {self.prompt_tokens:>14,}",
            f"completion tokens  {self.completion_tokens:>14,}",
        ]


def price(bench: Bench, sample: int = 16) -> tuple[Price, Price]:
    """Estimates what a run costs, as (expected, at most). Nothing is asked, and stored episodes are counted as well.

    A scripted policy is priced by playing it. For any other, `detour` stands in: it looks again about as often as a
    model that searches, and answers right, so a model that gives up early costs less. If there are exemplars, replies
    are expected to be as long as those of the exemplars, otherwise as long as the stand-in's, which are short: a model
    that thinks aloud writes several times as much. Retries after failures are not counted.

    At most: every episode uses all its turns, every reply has the greatest number of tokens, and every call shows as
    many views as the stand-in's calls showed at most, at the largest size.

    Args:
        bench: the run.
        sample: number of tasks, spread over the run, that the stand-in plays.

    Raises:
        ValueError: an argument of the run is wrong, or the stand-in can play none of the tasks.
    """
    jobs = bench.jobs()
    first = [job for job in jobs if job.sample == 0]
    played = first[:: max(1, len(first) // sample)][:sample]
    expected, most = Price(), Price()
    for arm in bench.arms():
        meters = _metered(bench, arm, played)
        expected += sum((meter.price for meter in meters), Price()).scaled(len(jobs) / len(played))
        most += _at_most(arm, meters).scaled(len(jobs))
    return expected, most


def text_tokens(text: str) -> int:
    """Estimates the number of tokens of a text: one for each digit, as in Qwen's tokenizer, and of the rest."""
    digits = sum(map(str.isdigit, text))
    return digits + math.ceil((len(text) - digits) / CHARACTERS_PER_TOKEN)


def picture_tokens(size: Size) -> int:
    """Estimates the number of tokens of a picture of that size in pixels."""
    return math.ceil(size[0] * size[1] / PIXELS_PER_TOKEN) + MESSAGE_TOKENS


def prompt_tokens(messages: Sequence[Message], replies: int | None = None) -> int:
    """Estimates the number of tokens of a dialogue. If `replies` is given, each reply counts that many tokens."""
    return sum(_message_tokens(message, replies) for message in messages)


def _message_tokens(message: Message, replies: int | None) -> int:
    if replies is not None and message.role == "assistant":
        return MESSAGE_TOKENS + replies
    parts = (picture_tokens(p.view.shown) if isinstance(p, Picture) else text_tokens(p) for p in message.parts)
    return MESSAGE_TOKENS + sum(parts)


class _Meter(Policy):
    """Plays like another policy, and measures the requests.

    Args:
        inner: the scripted policy that replies.
        arm: the arm that is played.
        exemplars: the exemplars at the start of each request, after the system prompt.
        imitated: whether every further reply counts as long as the exemplars' replies.

    Attributes:
        price: what the requests so far cost.
        opening: the largest number of prompt tokens and of pictures of an episode's first request.
        brought: the largest number of views that one call has brought.
    """

    privileged: ClassVar[bool] = True

    def __init__(self, inner: Policy, arm: Arm, exemplars: Sequence[Message] = (), imitated: bool = False) -> None:
        super().__init__()
        self.inner, self.arm, self.exemplars = inner, arm, len(exemplars)
        replies = [text_tokens(message.text) for message in exemplars if message.role == "assistant"]
        self.reply_tokens = round(sum(replies) / len(replies)) if replies and imitated else None
        self.price, self.opening, self.brought = Price(), (0, 0), 1
        self._begun: dict[EpisodeKey, int] = {}

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Measures requests and returns the replies of the inner policy."""
        replies = self.inner.act(requests)
        for request, reply in zip(requests, replies, strict=True):
            self._measure(request, reply)
        return replies

    def _measure(self, request: Request, reply: Reply) -> None:
        messages = request.dialogue.messages
        start = 1 + self.exemplars
        own = prompt_tokens(messages[:start]) + prompt_tokens(messages[start:], self.reply_tokens)
        prompt = own + (text_tokens(json.dumps(request.tools)) if request.tools else 0)
        pictures = sum(isinstance(part, Picture) for message in messages for part in message.parts)
        written = text_tokens(reply.text) if self.reply_tokens is None else self.reply_tokens
        self.price += Price(1, pictures, prompt, written)
        if request.key not in self._begun:
            self.opening = (max(self.opening[0], prompt), max(self.opening[1], pictures))
        views = len(request.privileged.views) if request.privileged else 0
        self.brought = max(self.brought, views - self._begun.get(request.key, views))
        self._begun[request.key] = views


def _metered(bench: Bench, arm: Arm, jobs: Sequence[Job]) -> list[_Meter]:
    """Plays jobs with a stand-in; returns a meter for the arm and one for each of its delegates."""
    scripted = all(policy.privileged for policy in policy_classes(arm.policy))
    exemplars = bench.open_exemplars(arm)
    if is_pair(arm.policy):
        main = _Meter(make_policy(ASKING_STAND_IN), arm, exemplars, imitated=True)
    else:
        main = _Meter(
            make_policy(arm.policy if scripted else SEARCHING_STAND_IN), arm, exemplars, imitated=not scripted
        )
    others = {
        tool: Agent(_Meter(make_policy(SEARCHING_STAND_IN), other), make_dialect(other.dialect), other)
        for tool, other in delegates(arm).items()
    }
    dialect = bench.open_dialect(arm.dialect)
    for _ in rollout(jobs, main, dialect, arm, delegates=others, exemplars=exemplars):
        pass
    if not main.price.requests:
        raise ValueError(f"{arm.label}: none of {len(jobs)} tasks can be opened, so there is nothing to estimate from")
    return [main, *(agent.policy for agent in others.values() if isinstance(agent.policy, _Meter))]


def _at_most(arm: Arm, meters: Sequence[_Meter]) -> Price:
    """The largest price of one episode of an arm. Each search of a reasoner is an episode of its searcher."""
    main, *others = meters
    episode = _longest(main)
    searches = int(arm.env.get("max_calls") or episode.requests - 1)
    return episode + sum((_longest(other) for other in others), Price()).scaled(searches)


def _longest(meter: _Meter) -> Price:
    """The largest price of one episode of a meter's arm."""
    env = VisualSearchEnv(**meter.arm.env)
    env.close()
    side = math.ceil(env.rules.pixel_bounds[1] ** 0.5)
    shown = meter.brought * picture_tokens((side, side))
    reply, turns = meter.arm.sampling.max_tokens, env.rules.max_turns
    tokens, pictures = meter.opening
    earlier = turns * (turns - 1) // 2  # the sum of the numbers of rounds that are in the prompt of each turn
    prompts = turns * tokens + earlier * (reply + shown + FEEDBACK_TOKENS)
    return Price(turns, turns * pictures + earlier * meter.brought, prompts, turns * reply)
