//! Finds words of the prompt in a text: where little is said, Whisper reads its prompt aloud.

use super::folded;

/// So many words of the prompt in a row are suspicious; fewer may be a name that was said.
const RUN_WORDS: usize = 4;
/// Likewise in characters, for languages without spaces.
const RUN_CHARS: usize = 10;

/// How many characters of `text` are a run of the prompt that is long enough to be suspicious, or the whole text when
/// all of it is in the prompt; 0 when there is nothing to suspect.
#[must_use]
pub fn suspicious_chars(prompt: &str, text: &str, spaced: bool) -> usize {
    let (prompt, text) = (folded(prompt), folded(text));
    let (prompt, text) = (units(&prompt, spaced), units(&text, spaced));
    let run = longest_common_run(&prompt, &text);
    let enough = if spaced { RUN_WORDS } else { RUN_CHARS };
    let is_suspicious = !run.is_empty() && (run.len() >= enough || run.len() == text.len());
    if is_suspicious { run.iter().map(|unit| unit.chars().count()).sum() } else { 0 }
}

/// Whether a text that was decoded without the prompt shows that the suspicious characters of `prompted` were never
/// said: it lacks more than half of them.
#[must_use]
pub fn is_echo(suspicious_chars: usize, prompted: &str, unprompted: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
    letters(unprompted) + suspicious_chars.div_ceil(2) < letters(prompted)
}

/// Words, or characters where there are no spaces.
fn units(text: &str, spaced: bool) -> Vec<&str> {
    if spaced {
        text.split(' ').filter(|word| !word.is_empty()).collect()
    } else {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        text.char_indices().zip(ends).map(|((start, _), end)| &text[start..end]).filter(|c| *c != " ").collect()
    }
}

/// The longest run of `text` that stands in `prompt` as well; the first of equals.
fn longest_common_run<'a>(prompt: &[&str], text: &[&'a str]) -> Vec<&'a str> {
    // lengths[i] = length of the common run that ends before prompt[i] and at the text's current unit.
    let mut lengths = vec![0_usize; prompt.len() + 1];
    let (mut longest, mut end) = (0, 0);
    for (at, unit) in text.iter().enumerate() {
        for index in (0..prompt.len()).rev() {
            lengths[index + 1] = if prompt[index] == *unit { lengths[index] + 1 } else { 0 };
            if lengths[index + 1] > longest {
                (longest, end) = (lengths[index + 1], at + 1);
            }
        }
    }
    text[end - longest..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "Contoso Travel, Aiko Tanaka, Peter Miller, loyalty card";

    #[test]
    fn a_single_name_is_no_echo_and_a_list_of_them_may_be_one() {
        assert_eq!(suspicious_chars(PROMPT, "Hello, this is Aiko Tanaka speaking.", true), 0);
        let read_aloud = "Contoso Travel, Aiko Tanaka, Peter Miller. Hello?";
        assert_eq!(suspicious_chars(PROMPT, read_aloud, true), "contosotravelaikotanakapetermiller".len());
        assert_eq!(suspicious_chars(PROMPT, "Peter Miller", true), "petermiller".len(), "nothing but the prompt");
        assert_eq!(suspicious_chars(PROMPT, "", true), 0);
        assert_eq!(suspicious_chars("", "words", true), 0);
    }

    #[test]
    fn japanese_is_compared_by_characters() {
        let prompt = "東西商事、田中愛子、予約番号、会員カード";
        assert_eq!(suspicious_chars(prompt, "はい、田中愛子です。", false), 0);
        assert_eq!(suspicious_chars(prompt, "東西商事、田中愛子、予約番号。もしもし", false), 12);
    }

    #[test]
    fn what_is_heard_without_the_prompt_as_well_was_said() {
        let prompted = "Contoso Travel, Aiko Tanaka, Peter Miller. Hello?";
        let suspicious = suspicious_chars(PROMPT, prompted, true);
        assert!(is_echo(suspicious, prompted, "Hello?"));
        assert!(is_echo(suspicious, prompted, ""));
        assert!(!is_echo(suspicious, prompted, "Contozo travel, I go Tanaka, Peter Miller. Hello?"));
    }
}
