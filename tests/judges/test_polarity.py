from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.judges.answers import read_letter, read_yes_no
from o3gym.judges.polarity import polarity
from o3gym.judges.rules import auto, yes_no
from o3gym.types import Source, Task

PICTURES = (Source.file("a"),)

YES = """
yes|Yes|YES.|yes!|"Yes"|(yes)|**Yes**|<answer>Yes</answer>|\\boxed{Yes}|Yes, it is.|Yes there is a dog
Yes – two of them|y|Y|Y.|(y)|Y, there is|y) it is there|yeah|Yeah, it is|yep|Yep.|Yup!|yea|affirmative|Indeed.
Indeed, there is one|true|True|True.|TRUE|That is true.|It's true|This statement is correct.|Correct.
It is not false.|That isn't incorrect|absolutely|Of course!|Definitely.|Certainly|sure|The answer is yes.
Answer: yes|Answer: Yes, it is|The answer is a yes|The answer is: y|the answer is true|answer is "yes"|I think yes
I would say yes.|Well, yes|Looking closely, yes|Oh yes|So yes.|Therefore, yes|It is there, so yes
No one is there, so yes|no one is there, so yes.|There is no car, but a bus: yes|There is no doubt: yes
No doubt, yes|Nobody. No dog, no cat. Hence the answer is yes.|No. 5 is on the bus, yes|It says "no parking", yes
At first I thought no, but actually yes|No, wait, yes|no... sorry, yes|Yes or no? Yes.|yes/no: yes
Answer with yes or no: yes|Yes, and no one is near it|Yes, no doubt about it|Yes, there is no fence in front
Yes, it is not far away|Yes, a sign that says no
""".replace("\n", "|")

NO = """
no|No|NO.|no!|"No"|(no)|**No**|<answer>No</answer>|\\boxed{No}|No, it is not.|No there is none|No it isn't|No – none
n|N|N.|(n)|N, there is none|nope|Nope.|nah|Nah, nothing|nay|negative|Negative.|never|no way|false|False|False.|FALSE
That is false.|It's false|This statement is incorrect.|Incorrect.|It is not true.|That isn't correct|Not true.
not correct|untrue|That is untrue|Absolutely not.|Certainly not|Definitely not!|Of course not|Not at all.|Not really
The answer is no.|Answer: no|Answer: No, it is not|The answer is a no|The answer is: n|the answer is false
answer is "no"|I think no|I would say no.|Well, no|Looking closely, no|Oh no|So no.|Therefore, no|It is gone, so no
There is no dog|There is no dog in the picture.|I see no car|No dog is there|No dogs.|No one is there
no-one is there|Nobody. No people|It says "yes we can"; the answer is no|At first I thought yes, but actually no
Yes, wait, no|Yes or no? No.|yes/no: no|No, although a sign says yes|No and it never was|No but there is a cat
No, not yesterday
""".replace("\n", "|")

NEITHER = """
?|N/A|n/a|N / A|NA|y-axis|x|maybe|Not sure|I am not sure|I don't know|unknown|unclear|yesterday|eyes|nothing|note
know|yes and no|yes or no|Yes/No|no or yes|y/n|yes, no|either yes or no|I have no idea|No idea.|no clue
There is no way to tell|No doubt.|There is no information|no one knows|No one can tell|a dog|There is a dog
It is not red|no-parking sign|No. 5|No 7|It is true that a dog is black|the correct colour|a false ceiling
a sure thing|The answer is the dog|5|A man|not|"no parking"
""".replace("\n", "|")


def phrases(block: str) -> list[str]:
    return [phrase for phrase in block.strip("|").split("|") if phrase]


@pytest.mark.parametrize("answer", phrases(YES))
def test_yes(answer: str) -> None:
    assert read_yes_no(answer) == "yes"


@pytest.mark.parametrize("answer", phrases(NO))
def test_no(answer: str) -> None:
    assert read_yes_no(answer) == "no"


@pytest.mark.parametrize("answer", ["", " ", *[p for p in phrases(NEITHER) if p != "not"]])
def test_neither(answer: str) -> None:
    assert read_yes_no(answer) == ""


def test_a_free_question_is_a_yes_no_question_if_its_answer_is() -> None:
    def asked(*answers: str) -> Task:
        return Task("t", PICTURES, "Is it there?", answers[0], origin={"answers": list(answers)})

    assert auto(asked("Yes"), "Yeah, two of them").verdict == "correct"
    assert auto(asked("no."), "There is none, so no").verdict == "correct"
    assert auto(asked("Yes"), "Nope").verdict == "wrong"
    assert auto(asked("yes", "a dog"), "yeah").verdict == "wrong"  # not a yes/no question
    assert auto(asked("true"), "yes").verdict == "wrong"
    assert yes_no(asked("Yes"), "N/A").verdict == "wrong"


def test_options_yes_and_no_are_read_as_yes_and_no() -> None:
    assert read_letter("Yeah, it is", "AB", ("Yes", "No"))[0] == "A"
    assert read_letter("No one is there, so yes", "AB", ("No", "Yes"))[0] == "B"
    assert read_letter("B", "AB", ("Yes", "No"))[0] == "B"
    assert read_letter("n", "AB", ("Yes", "No"))[0] == "B"
    assert read_letter("yeah", "ABC", ("Yes", "No", "Unclear"))[0] == "A"
    assert read_letter("Not sure", "AB", ("Yes", "No"))[0] == ""


@given(st.text(alphabet="yesnotrufa.,:;!?/ '\"-\n", max_size=80))
def test_any_text_is_read(text: str) -> None:
    assert polarity(text) in ("yes", "no", "")


@pytest.mark.parametrize("junk", ["no ", "so ", "the ", "yes or ", "answer is ", "not ", "no one "])
def test_long_texts_cost_little(junk: str) -> None:
    start = time.perf_counter()
    polarity(junk * (10_000 // len(junk)))
    assert time.perf_counter() - start < 0.5
