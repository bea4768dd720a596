"""Dialogues as text: a processor's chat template, rendered so that no message can forge a special token."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from o3gym.policies.dialogue import Message, turn_start, whole_turns

THINK = "<think>"
REPLY_MARK = "\ue000"
"""Placeholder for a reply in a rendered template; a private-use character, removed from all other text."""


class ChatTemplate:
    r"""The chat template of one processor.

    Args:
        processor: from `load_processor`.

    Attributes:
        closing: text that closes an assistant turn, such as "<|im_end|>\n".
        opens_thought: whether the generation prompt ends with "<think>", as that of Qwen3.5, so that every reply begins
            inside a thought.

    Raises:
        ValueError: the template leaves assistant messages out.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        special = [str(token) for token in processor.tokenizer.added_tokens_decoder.values() if token.special]
        # (?!) never matches: a tokenizer without special tokens has nothing to escape
        self._special = re.compile("|".join(re.escape(token) for token in special if len(token) > 1) or r"(?!)")
        self._strings_only = False
        self._strings_only = self._wants_strings()
        self.closing = self._closing()
        self.opens_thought = self.render([Message("user", ("?",))]).rstrip().endswith(THINK)

    def render(self, messages: Iterable[Message], prompt: bool = True) -> str:
        """Renders messages; with `prompt`, the text ends with the generation prompt of the next reply.

        Inline messages are rendered as parts of the assistant's message.
        """
        text: str = self._processor.apply_chat_template(
            [self._chat(message) for message in whole_turns(messages)], tokenize=False, add_generation_prompt=prompt
        )
        return text

    def after_reply(self, messages: Sequence[Message], reply: int) -> str:
        """Renders what comes after the reply at index `reply`, from the end of its text to the next generation prompt.

        The reply itself, with all of its turn before it, is rendered as a placeholder. Its ids are known, and its text
        must not influence the result: some templates cut thoughts out of earlier replies.
        """
        before = self._stand_in(messages) if self.suffix_is_local else messages[: turn_start(messages, reply)]
        placeholder = Message("assistant", (REPLY_MARK,))
        return self.render([*before, placeholder, *messages[reply + 1 :]]).partition(REPLY_MARK)[2]

    def completion(self, text: str, unfinished: bool = False) -> str:
        """Returns what follows the generation prompt in a dialogue where the assistant said `text`.

        If the generation prompt has opened the thought, a text that opens it too continues after its own tag, and a
        text without thoughts closes it first, unless it is `unfinished`, the beginning of a longer message.
        """
        if not self.opens_thought:
            return text
        if text.lstrip().startswith(THINK):
            return text.lstrip().removeprefix(THINK).lstrip("\n")
        return text if unfinished or "</think>" in text else f"\n</think>\n\n{text}"

    def escape(self, text: str, role: str = "") -> str:
        """Puts a space into each special token that the text spells out, so that it is tokenised as plain text."""
        if REPLY_MARK in text and not (role == "assistant" and text == REPLY_MARK):
            text = text.replace(REPLY_MARK, "")
        return self._special.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)

    @cached_property
    def suffix_is_local(self) -> bool:
        """Whether the text after a reply is independent of the messages long before it.

        If so, `after_reply` renders a short beginning in place of the whole history; otherwise a dialogue of n turns
        would cost O(n²). A template that numbers its messages, for example, is not local.
        """
        system, user, mark = Message("system", ("?",)), Message("user", ("!",)), Message("assistant", (REPLY_MARK,))
        long = [system, user, Message("assistant", ("a",)), user, Message("assistant", ("b",)), user, mark, user]
        short = [*self._stand_in(long), mark, user]
        first, second = (self.render(messages).partition(REPLY_MARK)[2] for messages in (long, short))
        return first == second

    @staticmethod
    def _stand_in(messages: Sequence[Message]) -> list[Message]:
        """Returns a short beginning with the same system message."""
        return [*(m for m in messages[:1] if m.role == "system"), Message("user", ("?",))]

    def _chat(self, message: Message) -> dict[str, Any]:
        if self._strings_only and message.role != "user":
            return {"role": message.role, "content": self.escape(message.text, message.role)}
        parts = [
            {"type": "text", "text": self.escape(part, message.role)} if isinstance(part, str) else {"type": "image"}
            for part in message.parts
        ]
        return {"role": message.role, "content": parts}

    def _wants_strings(self) -> bool:
        """Whether the template expects a string, not a list of parts, from every role but the user.

        Such a template either fails on a list or prints the list's Python form, in which the key 'type' shows up.
        """
        probe = [Message("system", ("?",)), Message("user", ("?",)), Message("assistant", (REPLY_MARK,))]
        try:
            return "'type'" in self.render(probe, prompt=False)
        except Exception:
            return True

    def _closing(self) -> str:
        probe = [Message("user", ("?",)), Message("assistant", (REPLY_MARK,))]
        rendered = self.render(probe, prompt=False)
        if REPLY_MARK not in rendered:
            raise ValueError("the chat template does not show what an assistant said")
        return rendered.partition(REPLY_MARK)[2]
