"""Is a local answer as good as the remote one? What must never pass, and what must."""  # R14.4

import json
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from groundup.apps.finch.agreement import agreement
from groundup.apps.finch.agreement.semantic import cosine
from groundup.apps.finch.agreement.structured import MISSING, difference, parsed, same_value
from groundup.apps.finch.agreement.traps import trapped

WORDS = [
    "The",
    "Your",
    "No",
    "it",
    "is",
    "not",
    "Paris",
    "7",
    "12",
    "days",
    "enable",
    "disable",
    ".",
    ",",
    "{}",
    "[]",
    '"',
    "```",
]
TEXTS = st.text(max_size=30) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)

TRAPS = [
    # negation
    ("Your card is active and can be used.", "Your card is not active and can be used."),
    ("You can cancel the order at any time.", "You can't cancel the order at any time."),
    ("The flight has left the gate already.", "The flight hasn’t left the gate already."),
    ("There is a fee for transfers abroad.", "There is no fee for transfers abroad."),
    ("Refunds are possible after payment.", "Refunds are never possible after payment."),
    ("Open it with your old password.", "Open it without your old password."),
    ("You are able to open the account.", "You are unable to open the account."),
    # opposites
    ("To get alerts, enable the switch.", "To get alerts, disable the switch."),
    ("The firewall will allow this connection.", "The firewall will deny this connection."),
    ("Turn the heating on in the hall.", "Turn the heating off in the hall."),
    ("Prices will increase over the year.", "Prices will decrease over the year."),
    ("The request was approved by the bank.", "The request was rejected by the bank."),
    ("Turn left at the second crossing.", "Turn right at the second crossing."),
    ("Take the pill before the meal.", "Take the pill after the meal."),
    ("The lid must be open while it runs.", "The lid must be closed while it runs."),
    ("The option is visible to everyone.", "The option is hidden to everyone."),
    ("That is a reversible change.", "That is an irreversible change."),
    ("The output is synchronous here.", "The output is asynchronous here."),
    # numbers, units, dates
    ("It takes 5 days to reach you.", "It takes 6 days to reach you."),
    ("The fee is $12.50 for each transfer.", "The fee is $125.0 for each transfer."),
    ("The fee is $12 for each transfer.", "The fee is €12 for each transfer."),
    ("The tank holds 40 l of water.", "The tank holds 40 ml of water."),
    ("It was 20 °C in the hall at noon.", "It was 20 °F in the hall at noon."),
    ("The rate rose by 5 percent in all.", "The rate rose by 50 percent in all."),
    ("The change was -3 points in total.", "The change was 3 points in total."),
    ("The meeting is on Monday at the office.", "The meeting is on Tuesday at the office."),
    ("The offer ends on 3 May at midnight.", "The offer ends on 3 June at midnight."),
    ("The deadline is 2024-05-03 for all.", "The deadline is 2024-03-05 for all."),
    ("Two people may sit in the boat.", "Three people may sit in the boat."),
    ("You may log in twice before it locks.", "You may log in once before it locks."),
    ("It is due in three weeks from now.", "It is due in three months from now."),
    ("Version 1.10 fixes this for all users.", "Version 1.1 fixes this for all users."),
    ("The train leaves at 9:15 every day.", "The train leaves at 9:51 every day."),
    # names
    ("The parcel was sent to Anna in Rome.", "The parcel was sent to Anna in Oslo."),
    ("Paris is the city you asked for.", "London is the city you asked for."),
    ("Ask the team at NASA about the part.", "Ask the team at ESA about the part."),
    ("Write to ann@example.com for help.", "Write to bob@example.com for help."),
    # who does what to whom
    ("The dog has bitten the man again.", "The man has bitten the dog again."),
    ("Send the money from Rome to Oslo.", "Send the money from Oslo to Rome."),
    # one word that matters in a short sentence
    ("The answer is blue.", "The answer is green."),
    ("The word you want is cat.", "The word you want is catastrophe."),
]  # fmt: skip

SAME = [
    ("Your card is on the way.", "Your card is on the way"),
    ("Your card is on its way to you.", "The card is on its way to you."),
    ("You don't need to do anything.", "You don’t need to do anything."),
    ("The fee is 1,250 euros in total.", "The fee is 1250 euros in total."),
    ("It   was sent\non Monday.", "It was sent on Monday."),
    ("I am sorry, the card was lost.", "Sorry, the card was lost."),
]


@pytest.mark.parametrize(("one", "other"), TRAPS)
def test_what_means_something_else_is_never_near(one: str, other: str) -> None:
    for a, b in ((one, other), (other, one)):
        found = agreement(a, b)
        assert not found.right, found
        assert found.divergence > 0


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_means_the_same_is_near(one: str, other: str) -> None:
    found = agreement(one, other)
    assert found.right, found
    assert found.divergence < 0.25


def test_the_traps_are_needed() -> None:
    """Many of these sentences are near in their words: without traps they would pass."""
    near = [cosine(one, other) >= 0.8 for one, other in TRAPS]
    caught = [trapped(one, other) is not None for one, other in TRAPS]
    assert sum(near) > len(TRAPS) // 3
    assert all(c for c, n in zip(caught, near, strict=True) if n)


@given(TEXTS)
def test_a_text_agrees_with_itself(text: str) -> None:
    found = agreement(text, text)
    assert found.right
    assert found.divergence == 0


@given(TEXTS, TEXTS)
def test_agreement_is_symmetric_and_bounded(one: str, other: str) -> None:
    there, back = agreement(one, other), agreement(other, one)
    assert there == back
    assert 0 <= there.divergence <= 1
    assert math.isfinite(there.divergence)


@given(st.text(min_size=1, max_size=20), TEXTS)
def test_a_number_that_is_added_is_seen(prefix: str, text: str) -> None:
    assert not agreement(f"{prefix} one answer {text} 71", f"{prefix} one answer {text} 72").right


# JSON


@given(VALUES, VALUES)
def test_json_is_right_exactly_when_nothing_differs(one: object, other: object) -> None:
    assert same_value(one, other) == (difference(one, other) == 0)
    assert same_value(one, one)
    assert difference(one, other) == difference(other, one)
    assert 0 <= difference(one, other) <= 1


@given(st.dictionaries(st.text(max_size=4), VALUES, min_size=1), st.randoms())
def test_keys_order_space_and_fences_do_not_count(value: dict[str, object], random: object) -> None:
    keys = list(value)
    random.shuffle(keys)  # type: ignore[attr-defined]
    shuffled = json.dumps({key: value[key] for key in keys}, indent=2)
    found = agreement(json.dumps(value), f"```json\n{shuffled}\n```")
    assert found.right
    assert found.divergence == 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1}', '{"a": "1"}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 0}', '{"a": false}'),
        ('{"a": null}', "{}"),
        ('{"a": 1}', '{"A": 1}'),
        ("[1, 2]", "[2, 1]"),
        ("[1]", "[1, 1]"),
        ("[]", "{}"),
        ('{"a": {"b": [1, {"c": 2}]}}', '{"a": {"b": [1, {"c": 3}]}}'),
        ('{"a": "enable"}', '{"a": "Enable"}'),
        ('{"a": 12345678901234567890}', '{"a": 12345678901234567891}'),
        ('{"a": 0.1}', '{"a": 0.10000000000000002}'),
        ('{"a": 1}', "a is 1"),
        ('{"a": 1, "a": 2}', '{"a": 2}'),
        ('{"a": 1} and more', '{"a": 1}'),
    ],
)
def test_json_that_differs_is_not_right(one: str, other: str) -> None:
    assert not agreement(one, other).right
    assert not agreement(other, one).right


def test_divergence_is_the_share_of_leaves_that_differ() -> None:
    assert agreement('{"a": 1, "b": [2, 3]}', '{"a": 1, "b": [2, 4]}').divergence == 1 / 3
    assert agreement('{"a": 1}', '{"b": 1}').divergence == 1


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "{" * 999, '{"a": NaN}', "[1e999999]"])
def test_odd_json_raises_nothing(text: str) -> None:
    found = parsed(text)
    assert found is MISSING or isinstance(found, list)
    assert agreement(text, text).right
    assert not agreement(text, "[]").right


# labels and code


@pytest.mark.parametrize(
    ("one", "other", "right"),
    [
        ("transfer_money", "Transfer Money", True),
        ('"positive"', "positive.", True),
        ("card-arrival", "card_arrival", True),
        ("positive", "negative", False),
        ("translate", "transfer", False),
        ("oos", "", False),
        ("spam", "spam, I think, but it could be that this is a letter from a friend.", False),
        ("C", "C#", False),
        ("yes", "no", False),
        ("10", "10.0", False),
        ("10", "100", False),
    ],
)
def test_labels(one: str, other: str, right: bool) -> None:
    assert agreement(one, other).right is right
    assert agreement(other, one).right is right


def test_code_is_compared_to_the_letter() -> None:
    code = "Use this:\n```python\nx = 1  \nif x: print(x)\n```"
    assert agreement(code, code.replace("1  ", "1")).right
    assert not agreement(code, code.replace("print(x)", "print(y)")).right
    assert not agreement(code, code.replace("if x", "  if x")).right


def test_a_model_that_sees_a_difference_is_heard() -> None:
    one, other = "Your card is on its way to you.", "The card is on its way to you."
    apart = {one: np.array([1.0, 0.0], np.float32), other: np.array([0.0, 1.0], np.float32)}
    assert agreement(one, other).right
    assert agreement(one, other, lambda text: None).right
    assert not agreement(one, other, apart.__getitem__).right
    assert agreement(one, other, apart.__getitem__).divergence == 1
