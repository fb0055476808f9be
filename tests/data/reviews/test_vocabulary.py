"""Words as numbers, and a corpus' words on photographs."""

from jiaa.data.reviews import lexicon, vocabulary

PHOTO = lexicon.photographic()


def test_a_vocabulary_ignores_order_and_knows_its_rare_words():
    texts = ["Light, light and shade", "The light"]
    words = vocabulary.build_vocabulary(texts, size=2, min_count=1)
    assert words == vocabulary.build_vocabulary(texts[::-1], size=2, min_count=1)
    assert words.words == ("light", "and")  # of once-seen words the first by alphabet
    numbers, counts = words.encode(["light the and shade", "", "\u2603"], length=3)
    assert numbers.tolist() == [[2, 1, 3], [0, 0, 0], [0, 0, 0]]
    assert counts.tolist() == [3, 0, 0]
    assert len(words) == 4


def test_words_beside_verdicts_are_the_corpus_own():
    texts = ["The composition is great.", "Poor composition.", "We went by train."] * 9
    found = vocabulary.aesthetic_words(texts, lexicon=PHOTO, min_count=5)
    assert found[0] == "composition"
    assert "great" not in found
