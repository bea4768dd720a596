from __future__ import annotations

import pytest

from o3gym.judges.answers import quantity, read_letter

COLOURS = ("red", "blue", "green", "yellow")

LETTERS = [
    # the letter alone
    ("B", "B"),
    ("b", "B"),
    ("(B)", "B"),
    ("[B]", "B"),
    ("B.", "B"),
    ("B)", "B"),
    ("'B'", "B"),
    ("**B**", "B"),
    ("`B`", "B"),
    ("Ｂ", "B"),
    (" \n B \n", "B"),
    ("A", "A"),
    ("a", "A"),
    # wrapped
    ("<answer>B</answer>", "B"),
    ("<answer>A</answer> no: <answer>B</answer>", "B"),
    (r"\boxed{B}", "B"),
    (r"\boxed{\text{B}}", "B"),
    (r"The answer is $\boxed{B}$.", "B"),
    # the letter with its option
    ("B. blue", "B"),
    ("B) blue", "B"),
    ("(B) blue", "B"),
    ("B: blue", "B"),
    ("B - blue", "B"),
    ("b. blue", "B"),
    ("B blue", "B"),
    ("**B. blue**", "B"),
    # stated in a sentence
    ("Answer: B", "B"),
    ("**Answer:** B", "B"),
    ("answer: b", "B"),
    ("The answer is B.", "B"),
    ("The correct option is (B).", "B"),
    ("I choose option B because A is too dark", "B"),
    ("A is a trap. The answer is B", "B"),
    ("B. The Type C plug is elsewhere", "B"),
    ("B because it is blue", "B"),
    ("A. red B. blue. Answer: B", "B"),
    ("B. No wait, the answer is C.", "C"),
    ("C.\n\nExplanation: A and B are too dark", "C"),
    ("Looking at A, B and C, the answer is D.", "D"),
    ("I think B is right", "B"),
    ("A is correct", "A"),
    ("A, as it is red", "A"),
    ("答案是B", "B"),
    # the option's text
    ("blue", "B"),
    ("Blue.", "B"),
    ("the blue", "B"),
    ("The answer is blue.", "B"),
    ("Answer: blue", "B"),
    # what is denied does not count
    ("The answer is not A but B", "B"),
    ("A is wrong, B is right", "B"),
    ("B rather than A", "B"),
    ("Option A isn't right, so option B", "B"),
    # no answer
    ("", ""),
    ("A dog", ""),
    ("A man is next to a blue car", ""),
    ("I do not know", ""),
    ("incorrect", ""),
    ("E", ""),
    ("Answer: E", ""),
    ("purple", ""),
    ("USB-C", ""),
    ("A.M.", ""),
    ("Because", ""),
    ("not B", ""),
    ("It cannot be B", ""),
    # letters of abbreviations, quantities and names are none
    ("N/A", ""),
    ("n/a", ""),
    ("N / A", ""),
    ("N\\A", ""),
    ("The answer is N/A.", ""),
    ("Answer: N/A", ""),
    ("<answer>N/A</answer>", ""),
    ("B/W", ""),
    ("It is a B/W photo", ""),
    ("24/B", ""),
    ("https://example.com/B", ""),
    ("C:\\Users", ""),
    ("R&D", ""),
    ("Q&A", ""),
    ("C++", ""),
    ("C#", ""),
    ("a grade of A+", ""),
    ("It shows 20 °C", ""),
    ("20℃", ""),
    ("about 5 A", ""),
    ("Washington D.C", ""),
    ("Washington, D.C.", ""),
    ("10 a.m", ""),
    ("Vitamin C", ""),
    ("It is rich in vitamins A and vitamin C", ""),
    ("vitamin A or C", ""),
    ("Gate B", ""),
    ("They wait at gate B", ""),
    ("Plan B", ""),
    ("the type C plug", ""),
    ("by Cardi B", ""),
    ("A few men", ""),
    ("A lot of dogs", ""),
    ("I see A man", ""),
    ("a man, a dog", ""),
    ("A man and a dog", ""),
    ("Apples", ""),
    ("Dogs", ""),
    # and these are options all the same
    ("N/A, so B", "B"),
    ("The R&D sign is blue: answer B", "B"),
    ("It is at Gate A. Answer: B", "B"),
    ("B: Gate A", "B"),
    ("The answer is $B$.", "B"),
    ("I get $B$", "B"),
    ("Image B", "B"),
    ("I think that Picture B matches", "B"),
    ("It must be Option B", "B"),
    ("Probably B", "B"),
    ("B/blue", "B"),
    ("I would go with option B", "B"),
    ("(B) at 5 A", "B"),
    # two answers are none
    ("A or B", ""),
    ("A and B", ""),
    ("A, B", ""),
    ("A/B", ""),
    ("(A) (B)", ""),
    ("Both A and C fit", ""),
    ("The answer is A. No, the answer is B.", ""),
    ("Answer: A or C", ""),
    ("A. red B. blue", ""),
    ("(A) red (B) blue", ""),
    ("A: red\nB: blue\nC: green\nD: yellow", ""),
    ("B. red", ""),
]


@pytest.mark.parametrize(("text", "letter"), LETTERS)
def test_option_letters(text, letter):
    assert read_letter(text, "ABCD", COLOURS)[0] == letter


def test_no_letter_comes_with_the_reason():
    assert read_letter("A or B", "ABCD", COLOURS) == ("", "ambiguous: names A, B")
    assert read_letter("", "ABCD") == ("", "no answer")
    assert read_letter("purple", "AB") == ("", "names none of the options AB")


def test_an_article_is_no_letter_but_an_option_may_start_with_one():
    animals = ("cat", "a dog", "bird")
    assert read_letter("A dog", "ABC", animals)[0] == "B"
    assert read_letter("The answer is a dog.", "ABC", animals)[0] == "B"
    assert read_letter("A", "ABC", animals)[0] == "A"


def test_correct_is_not_found_inside_incorrect():
    assert read_letter("incorrect", "AB", ("correct", "incorrect"))[0] == "B"
    assert read_letter("correct", "AB", ("correct", "incorrect"))[0] == "A"


def test_yes_and_no_name_the_options_true_and_false():
    for answer, letter in (("Yes.", "A"), ("nope", "B"), ("no one is there, so yes", "A"), ("N/A", ""), ("maybe", "")):
        assert read_letter(answer, "AB", ("True", "False"))[0] == letter
    assert read_letter("yes", "AB", ("True", "Unknown"))[0] == ""


def test_letters_win_over_options_that_are_letters():
    assert read_letter("B", "AB", ("B", "A"))[0] == "B"
    assert read_letter("E", "AB", ("E", "F"))[0] == "A"


def test_equal_options_are_ambiguous():
    assert read_letter("red", "AB", ("red", "Red"))[0] == ""


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("5", 5, ""),
        ("-3.5", -3.5, ""),
        ("−3", -3, ""),
        ("+2", 2, ""),
        (".5", 0.5, ""),
        ("1,234,567.5", 1234567.5, ""),
        ("12 345", 12345, ""),
        ("1e3", 1000, ""),
        ("3/4", 0.75, ""),
        ("1 1/2", 1.5, ""),
        ("45%", 45, "%"),
        ("45 percent", 45, "%"),
        ("45 per cent", 45, "%"),
        ("$1,200", 1200, "$"),
        ("-$5", -5, "$"),
        ("$-5", -5, "$"),
        ("5 dollars", 5, "$"),
        ("€3.50", 3.5, "€"),
        ("12 kg", 12, "kg"),
        ("12kg.", 12, "kg"),
        ("60 km/h", 60, "km/h"),
        ("5 m^2", 5, "m^2"),
        ("90°", 90, "°"),
        ("2.5 million", 2500000, ""),
        ("5k", 5000, ""),
        ("$3M", 3000000, "$"),
        ("three", 3, ""),
        ("Three red cars", 3, "red cars"),
        ("007", 7, ""),
    ],
)
def test_numbers(text, value, unit):
    number = quantity(text)
    assert number is not None
    assert number.value == pytest.approx(value)
    assert number.unit == unit


NO_NUMBERS = ["", "red", "3 or 4", "3/4/2020", "12:30", "1,2,3", "1,5", "5 to 7", "two or three", "one of them", "2-3"]
NO_NUMBERS += ["1/0", "about ten", "9" * 400, "9e999", "5 cars and one bus", "10.1.2.3", "nan", "inf"]


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text):
    assert quantity(text) is None
