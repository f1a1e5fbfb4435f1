"""WordPiece as the tokenizers package has it."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from groundup.data import standard_library
from groundup.text import Tokenizer, load_tokenizer, read_vocab_txt, save_tokenizer
from groundup.text.files import as_json

tokenizers = pytest.importorskip("tokenizers")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# The peer's BERT goes by an old table of Unicode: characters that have been the same since 2002.
OLD = unicodedata.ucd_3_2_0
TEXTS = st.text(
    st.sampled_from("the self.Import É\u0301ü中文\u3000\t\n\u200b\0?!,'`$ İΣß-_12")
    | st.characters(max_codepoint=0x2FFF, exclude_categories=("Cs", "Cn")).filter(
        lambda c: OLD.category(c) == unicodedata.category(c)
    ),
    max_size=40,
)


def trained(lowercase: bool) -> Any:
    """A BERT tokenizer of the peer's own making."""
    peer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    peer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    peer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    peer.decoder = tokenizers.decoders.WordPiece()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=900, special_tokens=SPECIAL, show_progress=False
    )
    peer.train_from_iterator([path.read_text("utf-8") for path in standard_library()[:8]], trainer)
    peer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return peer


PEERS = {lowercase: trained(lowercase) for lowercase in (True, False)}


@pytest.fixture(params=PEERS)
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Tokenizer, Any]:
    path = tmp_path / "tokenizer.json"
    peer = PEERS[request.param]
    peer.save(str(path))
    return load_tokenizer(path), peer


def test_the_same_tokens_offsets_and_text(both: tuple[Tokenizer, Any]) -> None:
    ours, peer = both

    @given(TEXTS, TEXTS)
    def check(text: str, pair: str) -> None:
        found, expected = ours.encode(text), peer.encode(text)
        assert found.tokens == expected.tokens
        assert found.offsets == expected.offsets
        assert ours.decode(found.ids) == peer.decode(expected.ids)
        found, expected = ours.encode(text, pair), peer.encode(text, pair)
        assert found.ids == expected.ids
        assert found.type_ids == expected.type_ids

    check()


def test_it_reads_what_is_written(both: tuple[Tokenizer, Any], tmp_path: Path) -> None:
    ours, peer = both
    save_tokenizer(ours, tmp_path / "ours.json")
    again = tokenizers.Tokenizer.from_file(str(tmp_path / "ours.json"))
    text = standard_library()[0].read_text("utf-8")
    assert again.encode(text, "and").ids == peer.encode(text, "and").ids


def test_vocab_txt_is_the_whole_tokenizer(tmp_path: Path) -> None:
    peer = PEERS[True]
    ids = peer.get_vocab()
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(sorted(ids, key=ids.__getitem__)) + "\n", "utf-8")
    ours = read_vocab_txt(path)
    assert json.dumps(as_json(ours)["model"]["vocab"]) == json.dumps(
        dict(sorted(ids.items(), key=lambda item: item[1]))
    )
    text = standard_library()[3].read_text("utf-8")
    assert ours.encode(text).ids == peer.encode(text).ids
