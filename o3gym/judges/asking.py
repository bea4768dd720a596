"""Asking a language model for one word, with cached verdicts: the shared half of the judges that ask a model."""

from __future__ import annotations

import hashlib
import itertools
import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from o3gym.judges.cache import VerdictCache, cache_folder
from o3gym.policies.dialogue import Dialogue, Request
from o3gym.policies.openai.policy import RENAMED_FIELDS, OpenAIPolicy
from o3gym.sampling import Sampling
from o3gym.types import Reply

MAX_ASKS = 3
"""Most times that a model is asked for one verdict before its replies are given up as unreadable."""
MAX_ECHO = 2_000
"""Characters at the end of an unreadable reply that are repeated to the model when it is asked again."""
MAX_TOKENS = 2_048
"""Limit of tokens of a reply, which may begin with a thought; as in InSight-o3."""
TIMEOUT = 120.0
"""Seconds that one try may take."""
VERSION = "1"
"""Incremented when a model is asked differently about the same answer in a way that the judges' texts do not show."""
AGAIN = "Reply with exactly one of these words and nothing else: {words}."


def read_word(reply: str, words: Sequence[str]) -> str:
    """Returns the one of `words` that the reply consists of, or "".

    Case, white space, quotes and Markdown around the word do not matter. After a thought that ends with `</think>` only
    the last line is read. A word inside a sentence does not count: a rule that finds the verdict in "The answer is
    correct." also finds it in "It would be correct if it said 5".
    """
    _, thought, conclusion = reply.rpartition("</think>")
    lines = conclusion.strip().splitlines() if thought else [conclusion]
    bare = (lines[-1] if lines else "").strip(f"{string.whitespace}{string.punctuation}“”‘’«»…–—·").casefold()
    return next((word for word in words if word.casefold() == bare), "")


class _Client(OpenAIPolicy):
    """Asks at temperature 0, or at the model's own if it refuses 0, as InSight-o3's judge gpt-5-nano does."""

    renamed: ClassVar[Mapping[str, str]] = {**RENAMED_FIELDS, "temperature": ""}


class AskingJudge:
    """Base of judges that ask a model for one of a few words. Safe to call from many threads.

    Args:
        argument: the model's name.
        base_url: address of the server; by default OPENAI_BASE_URL or OpenAI's own.
        key_env: the environment variable that holds the key; a server on plain http may do without.
        cache: file of verdicts, as JSON lines; "" for `judge.jsonl` in the folder O3GYM_CACHE, by default `o3gym` in
            the user's cache folder.
        retries: further tries of a request after status 408, 409, 429 or 5xx, a time-out, a lost connection or an
            answer that is no completion.
        concurrency: most requests in flight.
        timeout: seconds that one try may take.
        api_version: version of Azure's API; makes `base_url` (by default AZURE_OPENAI_ENDPOINT) an Azure resource.
        organization, project: ids that are sent along; by default OPENAI_ORG_ID and OPENAI_PROJECT_ID, but only to
            OpenAI's own servers.

    Attributes:
        blocks: True, so that runs call it in parallel with the rollout.
        reading: how replies are read; part of the key of cached verdicts.

    Raises:
        ValueError: an https address has no key, or the cache cannot be written.
        MissingPackage: the client is not installed.
    """

    blocks: ClassVar[bool] = True
    reading: str = "word"

    def __init__(
        self,
        argument: str,
        base_url: str = "",
        key_env: str = "OPENAI_API_KEY",
        cache: str = "",
        retries: int = 6,
        concurrency: int = 64,
        timeout: float = TIMEOUT,
        api_version: str = "",
        organization: str = "",
        project: str = "",
    ) -> None:
        self.model = argument
        self._cache = VerdictCache(Path(str(cache)) if cache else cache_folder() / "judge.jsonl")
        self._client = _Client(
            argument,
            base_url,
            key_env,
            concurrency,
            timeout,
            retries,
            api_version=api_version,
            organization=organization,
            project=project,
        )
        self._count = itertools.count()

    def close(self) -> None:
        """Drops the requests in flight, whose callers get an error, and closes the connections."""
        self._client.close()

    def _word(self, prompt: str, words: Sequence[str]) -> tuple[str, str]:
        """Returns the model's word, cached or asked for, and ""; or "" and the reason why there is none."""
        parts = [VERSION, self.reading, self.model, prompt]
        key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        known = self._cache.get(key)
        if known in words:
            return known, ""
        word, problem = self._asked(prompt, words, key)
        return (self._cache.put(key, word), "") if word else ("", problem)

    def _asked(self, prompt: str, words: Sequence[str], key: str) -> tuple[str, str]:
        dialogue, sampling = Dialogue(), Sampling(max_tokens=MAX_TOKENS, seed=int(key[:8], 16))
        dialogue.add("user", [prompt])
        for _ in range(MAX_ASKS):
            reply = self._client.ask(Request(("judge", key, next(self._count), ""), dialogue, sampling))
            if reply.error:
                return "", f"{self.model} gave no verdict: {reply.error}"
            if word := self._read(reply, words):
                return word, ""
            dialogue.add("assistant", [reply.text[-MAX_ECHO:] or "…"])
            dialogue.add("user", [AGAIN.format(words=", ".join(words))])
        return "", f"{self.model} gave no verdict in {MAX_ASKS} replies, the last: {reply.text[-80:]!r}"

    def _read(self, reply: Reply, words: Sequence[str]) -> str:
        return read_word(reply.text, words) if reply.finish == "stop" else ""
