"""Verdicts of words and phrases, negation and wishes."""

import dataclasses

from jiaa.data.reviews.lexicon import Lexicon


def test_negation_turns_praise_into_blame_and_softens_it_back():
    words = Lexicon({"good": 2.0, "bad": -2.0})
    assert words.opinion(["good"]).positive == 1.0
    assert words.opinion(["not", "good"]).negative == 1.0
    assert words.opinion(["not", "bad"]).positive == 0.5
    reach = ["not", "a", "b", "c", "good"]
    assert words.opinion(reach).positive == 1.0  # four words on, no more


def test_a_phrase_that_ends_in_a_negation_negates():
    words = Lexicon({"is not": -0.5, "good": 2.0})
    assert words.opinion("this is not good".split()).positive == 0.0


def test_a_wish_is_no_praise():
    words = Lexicon({"better": 2.0})
    assert words.opinion("it would be better".split()).negative == 0.5
    plain = dataclasses.replace(words, wishes=False)
    assert plain.opinion("it would be better".split()).positive == 1.0


def test_a_phrase_stands_before_its_words():
    words = Lexicon({"out of focus": -2.0, "focus": 2.0})
    assert words.opinion("all out of focus".split()).positive == 0.0
