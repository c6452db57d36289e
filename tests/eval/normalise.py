"""What counts as the same word. Both sides of a comparison go through the same function.

English: OpenAI's EnglishTextNormalizer. Japanese and Chinese: characters, width folded (NFKC), without punctuation and
spaces. Other languages: OpenAI's BasicTextNormalizer. Digits read one by one: the digits, however they are grouped.
"""

import functools
import unicodedata

from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

BY_CHARACTER = ("ja", "zh", "yue")
DIGITS = {word: str(digit) for digit, word in enumerate("zero one two three four five six seven eight nine".split())}


@functools.cache
def english():
    return EnglishTextNormalizer()


@functools.cache
def basic():
    return BasicTextNormalizer()


def tokens(text, language):
    """The words of a text, or its characters where words have no spaces between them."""
    if language in BY_CHARACTER:
        return characters(text)
    return (english() if language == "en" else basic())(text).split()


def keys(words):
    """Single words without case, width and punctuation, to find the same word again; "" for what is none."""
    return ["".join(characters(word)) for word in words]


def characters(text):
    """Letters, digits and marks of a text, width and case folded."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [character for character in folded if unicodedata.category(character)[0] in "LNM" or character == "ー"]


def digits(text):
    """The digits of an English text one by one, also those that are words; any other word is one wrong digit. OpenAI's
    normaliser is of no use here: it takes 07 for 7."""
    found = []
    for word in basic()(text).split():
        found += list(word) if word.isdigit() else [DIGITS.get(word, "#")]
    return found


def is_wide(character):
    """Whether a character belongs to a script without spaces between words (kana, han, hangul is not one)."""
    return "\u3040" <= character <= "\u30ff" or "\u3400" <= character <= "\u9fff"


def count_words(text):
    """How many words a text has; characters where it has no spaces. Nothing is forgiven: "[Music]" is a word."""
    count = 0
    for word in text.split():
        wide = sum(map(is_wide, word))
        count += wide or any(character.isalnum() for character in word)
    return count
