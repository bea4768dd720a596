"""The policy interface: a policy generates an agent's replies.

The simplest policy implements `act(requests) -> replies` and inherits the rest. A backend that serves requests
concurrently implements `submit` and `poll` instead, so that the slowest of 64 dialogues never holds up the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, get_args

from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES
from o3gym.sampling import Sampling
from o3gym.specs import build_plugin, parse_spec
from o3gym.types import EpisodeKey, Finish, Reply, Size


class PolicyError(ValueError):
    """A policy returned something that is not a reply; the message names the policy's class and what it returned."""


class Policy:
    """Base class of all policies.

    Attributes:
        privileged: whether requests carry the ground truth (`Request.privileged`); true for scripted policies only.
        dialect: the only dialect that the policy speaks, or "" if it speaks any.
        env: environment arguments that the policy needs; they apply where the user sets none.
        on_videos: the name of the policy that plays in its place on suites with videos; "" for the policy itself.
        trial_suite: the suite on which `o3gym check` plays the policy; "" for a synthetic one, which most policies can
            play.
        packages: distributions whose versions affect the replies; the run's protocol records them.
    """

    privileged: ClassVar[bool] = False
    dialect: ClassVar[str] = ""
    env: ClassVar[Mapping[str, Any]] = {}
    on_videos: ClassVar[str] = ""
    trial_suite: ClassVar[str] = ""
    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._queue: list[Request] = []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Returns one reply per request, in order."""
        raise NotImplementedError

    def submit(self, request: Request) -> None:
        """Accepts a request; a later `poll` returns its reply."""
        self._queue.append(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are ready; blocks until there is at least one while any request is open.

        An exception becomes a reply with `finish="error"`. If a whole batch fails, each of its requests is retried
        alone, so that one bad dialogue does not take the others down with it.
        """
        batch, self._queue = self._queue, []
        try:
            replies = self._replies(batch)
        except PolicyError as error:  # the policy's code is wrong, and would be again with each request alone
            replies = [error_reply(error) for _ in batch]
        except Exception as error:
            replies = [self._retry(request) if len(batch) > 1 else error_reply(error) for request in batch]
        return [(request.key, reply) for request, reply in zip(batch, replies, strict=True)]

    def _replies(self, batch: Sequence[Request]) -> list[Reply]:
        """Returns what `act` returns. Raises `PolicyError` if that is not a list of one reply per request."""
        replies: object = self.act(batch)
        if not isinstance(replies, list | tuple):
            raise PolicyError(f"{policy_name(self)}.act returned {_shown(replies)}, expected a list of replies")
        if len(replies) != len(batch):
            raise PolicyError(f"{policy_name(self)}.act returned {len(replies)} replies to {len(batch)} requests")
        return list(replies)

    def _retry(self, request: Request) -> Reply:
        try:
            return self._replies([request])[0]
        except Exception as error:
            return error_reply(error)

    def refusal(self) -> str:
        """Why the policy's server takes no requests from us, as it said the first time; "" if it never did.

        A refusal concerns the key, the access or the model and not a single request, so a benchmark starts no further
        episodes.
        """
        return ""

    def unable(self, sampling: Sampling, inline: bool) -> str:
        """Why the policy cannot reply in this way; "" if it can. `rollout` asks before it starts an episode.

        A policy that samples text and does not override this supports neither a temperature of its own for code nor a
        repetition penalty: to ignore them silently would misreport what was measured. A privileged policy samples
        nothing, so it may ignore all parameters.

        Args:
            sampling: how replies are to be sampled.
            inline: whether observations stand inside the assistant's turn (`Dialect.inline`).
        """
        if self.privileged:
            return ""
        if sampling.code_temperature is not None:
            return f"code_temperature: {policy_name(self)} samples code like any other text"
        if sampling.repetition_penalty != 1.0:
            return f"repetition_penalty: {policy_name(self)} has no such penalty"
        return ""

    def waits(self) -> bool:
        """Whether `poll` would only block now, because the replies are generated elsewhere and none has arrived."""
        return False

    def release(self, key: EpisodeKey) -> None:
        """Discards everything kept for the episode `key`, which has ended."""

    def vision_size(self, width: int, height: int) -> Size:
        """The size to which the model's processor will resize a picture of this size; the identity by default."""
        return (width, height)

    def close(self) -> None:
        """Frees the policy's resources."""


def error_reply(error: Exception) -> Reply:
    """The reply that stands for a failure: no text, `finish="error"`, and the exception in at most 500 characters."""
    return Reply("", finish="error", error=f"{type(error).__name__}: {error}"[:500])


def policy_name(policy: Policy) -> str:
    """The name of a policy's class, with its module, for error messages."""
    return f"{type(policy).__module__}.{type(policy).__qualname__}"


def checked_reply(reply: object, policy: Policy) -> Reply:
    """Returns what a policy replied, or an error reply that names the policy if that is not a valid `Reply`.

    It is not valid if a field has the wrong type, `finish` is unknown, or the log-probabilities are not one finite
    number per token id.
    """
    if isinstance(reply, Reply):
        fault = _fault(reply)
        return error_reply(PolicyError(f"{policy_name(policy)} returned an invalid reply: {fault}")) if fault else reply
    hint = "; wrap the text: Reply(text)" if isinstance(reply, str) else ""
    expected = f"expected an o3gym.types.Reply{hint}"
    return error_reply(PolicyError(f"{policy_name(policy)} replied {_shown(reply)}, {expected}"))


def _fault(reply: Reply) -> str:
    """Returns what is wrong with the fields of a reply, or ""."""
    for name in ("text", "error"):
        if not isinstance(getattr(reply, name), str):
            return f"{name}: expected a string, got {_shown(getattr(reply, name))}"
    if reply.finish not in get_args(Finish):
        return f"finish: expected one of {', '.join(get_args(Finish))}, got {_shown(reply.finish)}"
    for name in ("token_ids", "logprobs", "new_prompt_ids"):
        if not isinstance(getattr(reply, name), tuple | list | None):
            return f"{name}: expected a tuple or None, got {_shown(getattr(reply, name))}"
    ends = [0, *(end for span in reply.code for end in span), len(reply.token_ids or ())]
    if reply.code and ends != sorted(ends):
        return f"code: expected spans within {ends[-1]} token ids in ascending order, got {reply.code!r:.80}"
    if reply.logprobs is None:
        return ""
    if len(reply.logprobs) != len(reply.token_ids or ()):
        return f"logprobs: expected one for each of {len(reply.token_ids or ())} token ids, got {len(reply.logprobs)}"
    wrong = [n for n, value in enumerate(reply.logprobs) if not _is_finite(value)]
    return f"logprobs[{wrong[0]}]: expected a finite number, got {_shown(reply.logprobs[wrong[0]])}" if wrong else ""


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.80}" if value is not None else "None"


def split_control(spec: str) -> tuple[str, str | None]:
    """Splits a policy spec from its control: "oracle+blank_crop" is "oracle" under the control "blank_crop".

    A "+" inside parentheses belongs to the policy.
    """
    end = spec.rfind(")") + 1
    policy, plus, control = spec[end:].rpartition("+")
    return (spec[:end] + policy, control) if plus else (spec, None)


def playing(spec: str, videos: bool) -> str:
    """The spec of the policy that plays for `spec`: another one on suites with videos if `Policy.on_videos` is set."""
    name = parse_spec(spec)[0]
    policy: type[Policy] = POLICIES[name]
    return f"{policy.on_videos}{spec.removeprefix(name)}" if videos and policy.on_videos else spec


def make_policy(spec: str, **options: Any) -> Policy:
    """Builds a policy from a spec string such as "oracle", "sweep?cells=9" or "name:argument".

    Options in the spec win over `options`.

    Raises:
        UnknownName: no policy has this name; the message suggests the closest one.
    """
    name, argument, inline = parse_spec(spec)
    policy: Policy = build_plugin("policy", name, POLICIES[name], argument, **{**options, **inline})
    return policy
