"""The experiment on translation at reduced size. R4.1, R4.2, R4.3, R2.4, R2.6."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import groundup as gu
from groundup.experiments import Claim, Results, judge
from groundup.experiments.experiment import load
from groundup.experiments.report import write_report
from groundup.experiments.runner import run_seeds
from groundup.experiments.sequences import german, translation
from groundup.runs import Store


def small(folder: Path, **settings: Any) -> tuple[Results, str]:
    """The experiment with one seed: its results, and the text of its report."""
    loaded = load("translation")
    with Store(folder) as store:
        results = run_seeds(loaded, loaded.config(**settings), (0,), store)
        return results, write_report(results, store).read_text(encoding="utf-8")


def verdict(name: str, metrics: Mapping[str, float]) -> str:
    claim = next(c for c in translation.CLAIMS if c.id == name)
    return judge([claim], dict.fromkeys(range(10), metrics))[0].verdict


@cache
def drawn(count: int = 600) -> german.Split:
    return german.split(0, count, 30)


# The grammar


def test_german_declines_as_its_grammars_say() -> None:
    random = np.random.default_rng(0)
    found: dict[bool, dict[str, str]] = {False: {}, True: {}}
    for case in (False, True):
        for _ in range(6000):
            english, phrase = german.noun_phrase(random, german.pick(random, [*german.NOUNS]), case)
            assert found[case].setdefault(english, phrase) == phrase
    as_subject = {
        "the old man": "der alte Mann", "an old man": "ein alter Mann", "my table": "mein Tisch",
        "this red lamp": "diese rote Lampe", "a small cat": "eine kleine Katze",
        "the new book": "das neue Buch", "my big horse": "mein großes Pferd", "an egg": "ein Ei",
    }  # fmt: skip
    as_object = {
        "the old man": "den alten Mann", "an apple": "einen Apfel", "my red hat":
        "meinen roten Hut",
        "this dog": "diesen Hund", "a quiet queen": "eine ruhige Königin", "this clock":
        "diese Uhr", "a heavy egg": "ein schweres Ei", "this old sheep": "dieses alte Schaf",
    }  # fmt: skip
    assert as_subject.items() <= found[False].items()
    assert as_object.items() <= found[True].items()


def test_the_verb_is_second_in_main_clauses_and_last_in_others() -> None:
    finite = {v[4] for v in german.VERBS} | {"hat", *german.MODALS.values()}
    saying = set(german.SAYING.values())
    adverbs = {tuple(words.split()) for words in german.ADVERBS.values()}
    forms = german.NOMINATIVE
    starts = {form for word in forms for form in forms[word]}
    fronted = 0
    for pair in drawn().train:
        clauses = pair.german.split(", dass ")
        assert len(clauses) - 1 == pair.depth == pair.english.split().count("that")
        for inner in clauses[1:-1]:
            assert inner.split()[-1] in saying
        if pair.depth:
            assert clauses[-1].split()[-1] in finite
        words = clauses[0].split()
        front = next((len(a) for a in adverbs if tuple(words[: len(a)]) == a), 0)
        second = front or next(i for i, w in enumerate(words) if w[0].isupper()) + 1
        assert words[second] in (saying if pair.depth else finite)
        fronted += bool(front)
        if not front:
            assert words[0] in starts
    assert 0.15 < fronted / len(drawn().train) < 0.35


def test_parts_are_disjoint_and_some_nouns_are_objects_in_one_test_alone() -> None:
    parts = drawn()
    lists = [parts.train, parts.validation, *parts.test.values()]
    texts = [pair.english for pairs in lists for pair in pairs]
    assert len(set(texts)) == len(texts) == 600 + 4 * 30
    assert german.EXAMPLE.english not in texts

    def objects(pairs: list[german.Pair]) -> set[str]:
        """The last noun of an English sentence."""
        return {[w for w in p.english.split() if w in german.NOUNS][-1] for p in pairs}

    never = set(german.NEVER_OBJECTS)
    assert not objects(parts.train) & never
    assert objects(parts.test["roles"]) == never
    assert all(any(noun in p.english for p in parts.train) for noun in never)
    assert {p.depth for p in parts.test["deeper"]} == {3}
    depths = [p.depth for p in parts.train]
    assert [depths.count(n) for n in range(3)] == [200, 200, 200]


# What learns no weights


def edits(a: str, b: str) -> int:
    """Edit distance, from its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(edits(a[1:], b) + 1, edits(a, b[1:]) + 1, edits(a[1:], b[1:]) + (a[0] != b[0]))


def test_edit_distances_agree_with_their_definition() -> None:
    random = np.random.default_rng(0)
    words = ["".join("ab c"[i] for i in random.integers(0, 3, n)) for n in range(1, 6)]
    columns = np.full((5, len(words)), -1, np.int16)
    for i, word in enumerate(words):
        columns[: len(word), i] = ["ab ".index(c) for c in word]
    for text in ("", "a", "ab", "ba ab", "bbbb"):
        found = german.distances(["ab ".index(c) for c in text], columns)
        assert found.tolist() == [edits(text, word) for word in words]


def test_the_dictionary_finds_words_and_the_nearest_sentence_itself() -> None:
    words = german.dictionary(drawn().train)
    known = {"apple": "Apfel", "queen": "Königin", "must": "muss", "that": "dass", "my": "mein"}
    assert known.items() <= words.items()
    some = drawn().train[:3]
    assert german.nearest(drawn().train, [p.english for p in some]) == [p.german for p in some]


# Numbers


def test_batches_hold_each_pair_once_in_each_epoch_and_decode_to_it() -> None:
    parts, tokenizer = german.material(1, 150, 6)
    data = german.batches(tokenizer, parts.train, 2, np.random.default_rng(0))
    seen: list[tuple[str, str]] = []
    for source, before, mask, target in data:
        assert (before[:, 0] == german.BEGIN).all()
        real = target >= 0
        assert (before[:, 1:][real[:, 1:]] == target[:, :-1][real[:, 1:]]).all()
        assert ((target == german.END).sum(dim=1) == 1).all()
        rows = zip(source, mask, target, real, strict=True)
        seen += [
            (tokenizer.decode(s[m]).strip(), tokenizer.decode(t[r]).strip()) for s, m, t, r in rows
        ]
    assert sorted(seen) == sorted(2 * [(p.english, p.german) for p in parts.train])


# The networks


@pytest.mark.parametrize("name", translation.NETWORKS)
def test_padding_changes_nothing(name: str) -> None:
    gu.manual_seed(0)
    parts, tokenizer = german.material(1, 150, 6)
    model = translation.network(name, len(tokenizer)).eval()
    one = german.together(tokenizer, parts.test["same"][:1])
    longer = german.together(tokenizer, [*parts.test["same"][:1], *parts.test["deeper"]])
    assert longer[0].shape[1] > one[0].shape[1]
    with gu.no_grad():
        alone, among = model(*one[:3]), model(*longer[:3])
    real = one[3][0] >= 0
    found = among[0, : one[1].shape[1]].numpy()[real.numpy()]
    np.testing.assert_allclose(found, alone[0].numpy()[real.numpy()], atol=1e-4)


def test_the_encoder_reads_both_ways_and_the_bottleneck_passes_its_ends_alone() -> None:
    gu.manual_seed(0)
    model = translation.network("GRU", 30)
    assert isinstance(model, translation.Recurrent)
    source, mask = gu.tensor([[3, 4, 5, 6, 2]]), gu.tensor([[True, True, True, True, False]])
    memory, ends = model.encode(source, mask)
    width = memory.shape[2] // 2
    other = gu.tensor([[3, 4, 5, 9, 2]])
    changed = (model.encode(other, mask)[0] - memory)[0, :4].abs()
    assert (changed[:3, :width] == 0).all()
    assert (changed[:, width:].sum(dim=1) > 0).all()
    assert gu.allclose(ends, gu.cat([memory[:, 3, :width], memory[:, 0, width:]], 1))


def test_the_weights_that_are_drawn_are_those_the_decoder_uses() -> None:
    gu.manual_seed(0)
    model = translation.network("Transformer", 30).eval()
    assert isinstance(model, gu.models.Transformer)
    source, before = gu.tensor([[3, 4, 5, 6]]), gu.tensor([[0, 7, 8]])
    with gu.no_grad():
        maps, memory = translation.cross_weights(model, source, before), model.encode(source)
        x = model.position(model.token(before) * 8)
        for block, weights, (_, values) in zip(model.decoder, maps, memory, strict=True):
            assert gu.allclose(weights.sum(dim=-1), gu.ones(1, 4, 3))
            x = block.attention(x, None, True)
            x = x + block.cross.attention.out((weights @ values).transpose(1, 2).flatten(2))
            x = block.mlp(x)
        assert model.decoder_norm is not None
        logits = model.decoder_norm(x) @ model.token.weight.T
        assert gu.allclose(logits, model(source, before), atol=1e-5)


def test_networks_are_of_about_one_size() -> None:
    sizes = {
        name: sum(p.numel() for p in translation.network(name, german.VOCABULARY).parameters())
        for name in translation.NETWORKS
    }
    assert max(sizes.values()) < 1.03 * min(sizes.values())
    assert max(sizes, key=sizes.__getitem__) == "GRU"


# The experiment


def test_without_weights_next_to_nothing_is_right(tmp_path: Path) -> None:
    results, page = small(tmp_path, pairs=300, held_out=30, networks=())
    metrics = results.metrics[0]
    assert verdict("nearest", metrics) == verdict("dictionary", metrics) == "holds"
    assert "<table" in page


@pytest.mark.slow
def test_the_transformer_learns_and_greedy_writing_agrees(tmp_path: Path) -> None:
    settings = {"pairs": 1500, "epochs": 8, "held_out": 30, "searched": 30, "tables": ()}
    results, page = small(tmp_path, networks=("Transformer",), **settings)
    metrics = results.metrics[0]
    assert metrics["greedy/roles_test"] == pytest.approx(metrics["Transformer/roles_test"])
    assert metrics["Transformer/same_test"] > 30 > metrics["Transformer/deeper_test"]
    assert page.count("<svg") >= 2


def test_claims_can_be_refuted() -> None:
    metrics = {"Transformer/same_test": 90.0, "Transformer/roles_test": 89.0}
    assert verdict("learned", metrics) == "refuted"
    assert verdict("roles", metrics) == "holds in part"
    false = Claim("false", "roles are better", "nobody", 1, "Transformer/roles_test",
                  minus="Transformer/same_test")  # fmt: skip
    assert judge([false], dict.fromkeys(range(10), metrics))[0].verdict == "refuted"


@pytest.mark.parametrize(
    "settings",
    [{"pairs": 2}, {"epochs": 0}, {"searched": -1}, {"networks": ("LSTM",)}, {"tables": ("x",)}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        load("translation").config(**settings)
