"""Groups of words as groups of tokens."""

import pytest
from tiny_masked import gendered_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from leanformer.audit.groups import OWN_GROUPS, read_groups, token_groups
from leanformer.errors import DataError


def test_words_are_one_token_each_or_are_left_out():
    tokenizer = gendered_tokenizer()
    found = token_groups((("he", "she"), ("man", "woman", "duchess")), tokenizer)
    assert [tokenizer.convert_ids_to_tokens(list(group)) for group in found.ids] == [
        ["he", "she"],
        ["man", "woman"],
    ]
    assert found.words == (("he", "she"), ("man", "woman"))
    assert found.left_out == ("duchess",)


def test_groups_that_share_a_token_are_one():
    found = token_groups((("he", "she"), ("she", "her")), gendered_tokenizer())
    assert [set(group) for group in found.words] == [{"he", "she", "her"}]


def test_forms_of_a_word_are_groups_of_their_own():
    """In a vocabulary that knows spaces and capitals, "he" is made equal to "she", and not to " He"."""
    pieces = ["he", "she", "He", "She", "\u0120he", "\u0120she", "<unk>", "<pad>"]
    tokenizer = Tokenizer(
        models.WordLevel({piece: place for place, piece in enumerate(pieces)}, unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>")
    found = token_groups((("he", "she"),), fast)
    assert sorted(found.ids) == [(0, 1), (2, 3), (4, 5)]
    assert found.left_out == ()


def test_our_own_groups_keep_the_grammar():
    assert ("he", "she") in OWN_GROUPS
    assert not any("her" in group for group in OWN_GROUPS)


def test_groups_from_a_file(tmp_path):
    path = tmp_path / "groups.txt"
    path.write_text("# pronouns\nhe she they  # three\n\nman woman\n")
    assert read_groups(path) == (("he", "she", "they"), ("man", "woman"))


@pytest.mark.parametrize(
    ("content", "sentence"), [("# none\n", "names no group"), ("he she\nman\n", "line 2 .* one word")]
)
def test_bad_files_of_groups(tmp_path, content, sentence):
    path = tmp_path / "groups.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_groups(path)


def test_absent_files_and_unknown_words_are_refused(tmp_path):
    with pytest.raises(DataError, match="can not be read"):
        read_groups(tmp_path / "absent.txt")
    with pytest.raises(DataError, match="none of the 1 groups"):
        token_groups((("duke", "duchess"),), gendered_tokenizer())
