//! Sentences of English calls.

use super::mask_tests::redactor;

fn masks(region: &str, sentences: &[(&str, &str)]) {
    let redactor = redactor(region);
    let wrong: Vec<_> = sentences
        .iter()
        .map(|(sentence, expected)| (*sentence, redactor.mask(sentence).into_owned(), *expected))
        .filter(|(_, masked, expected)| masked != expected)
        .collect();
    assert!(wrong.is_empty(), "{region}: {wrong:#?}");
}

fn leaves(region: &str, sentences: &[&str]) {
    let unchanged: Vec<(&str, &str)> = sentences.iter().map(|sentence| (*sentence, *sentence)).collect();
    masks(region, &unchanged);
}

#[test]
fn american_numbers_are_masked_however_they_are_written() {
    masks(
        "US",
        &[
            ("You can reach me at 415-555-0132.", "You can reach me at [PHONE]."),
            ("Call (415) 555-0132 after five.", "Call [PHONE] after five."),
            ("It's 415.555.0132, okay?", "It's [PHONE], okay?"),
            ("It's 4155550132 or 415 555 0133.", "It's [PHONE] or [PHONE]."),
            ("Dial 1-800-555-0199 for support.", "Dial [PHONE] for support."),
            ("Dial 1 800 555 0199 2 times.", "Dial [PHONE] 2 times."),
            ("So that is 415, 555, 0132.", "So that is [PHONE]."),
            ("So that is 415. 555. 0132. Right?", "So that is [PHONE]. Right?"),
            ("4 1 5, 5 5 5, 0 1 3 2", "[PHONE]"),
            ("My cell, 415-555-0132, or my office, 415-555-0133.", "My cell, [PHONE], or my office, [PHONE]."),
            ("We moved in 2019, 415-555-0132 is the new one.", "We moved in 2019, [PHONE] is the new one."),
            ("At 10:30, 415 555 0132 called.", "At 10:30, [PHONE] called."),
            ("Just 555-0132, it's local.", "Just [PHONE], it's local."),
            ("It's 555 0 1 2 3.", "It's [PHONE]."),
            ("415-555-0132 extension 204 please", "[PHONE] please"),
            ("415-555-0132 x204, or 415-555-0133 ext. 5", "[PHONE], or [PHONE]"),
            ("４１５－５５５－０１３２", "[PHONE]"),
            ("You can try 555-123-4567.", "You can try [PHONE]."),
            ("415, okay, 555, yeah, 0132", "[PHONE]"),
            ("415 and then 555 0132", "[PHONE]"),
            ("It's 415–555–0132 with long dashes.", "It's [PHONE] with long dashes."),
        ],
    );
}

#[test]
fn american_numbers_are_masked_when_said() {
    masks(
        "US",
        &[
            ("It's four one five five five five oh one three two.", "It's [PHONE]."),
            ("Four one five, five five five, zero one three two.", "[PHONE]."),
            ("five five five 0123 is my number", "[PHONE] is my number"),
            ("five five five, um, zero one two three", "[PHONE]"),
            ("four one five, um, five five five, zero one two three", "[PHONE]"),
            ("area four one five triple five oh one double two", "area [PHONE]"),
            ("four fifteen... five fifty five... oh one thirty two", "[PHONE]"),
            ("four fifteen five fifty-five oh one thirty-two", "[PHONE]"),
            ("four one five dash five five five dash oh one three two", "[PHONE]"),
            ("Plus one four one five five five five oh one three two, thanks.", "[PHONE], thanks."),
            ("five five five oh one three two extension one two", "[PHONE]"),
        ],
    );
}

#[test]
fn numbers_of_other_countries_are_masked_after_a_plus() {
    masks(
        "US",
        &[
            ("From Tokyo it's +81 90-1234-5678 now.", "From Tokyo it's [PHONE] now."),
            ("Or +81 (0)3 1234 5678.", "Or [PHONE]."),
            ("Our London desk: +44 20 7946 0958.", "Our London desk: [PHONE]."),
            ("plus four four two oh seven nine four six oh nine five eight", "[PHONE]"),
            ("Call 011 44 20 7946 0958 from here.", "Call [PHONE] from here."),
            ("+442079460958 2 times", "[PHONE] 2 times"),
            ("+354 555 1234 is in Iceland", "[PHONE] is in Iceland"),
        ],
    );
}

#[test]
fn numbers_of_other_regions_are_masked_there() {
    masks(
        "GB",
        &[
            ("It's 020 7946 0958.", "It's [PHONE]."),
            ("My mobile is 07700 900123.", "My mobile is [PHONE]."),
            ("oh seven seven double oh, nine hundred", "oh seven seven double oh, nine hundred"),
            ("oh double seven double oh nine double oh one two three", "[PHONE]"),
            ("Ring 0161 496 0000 or 01632 960123.", "Ring [PHONE] or [PHONE]."),
        ],
    );
    masks("DE", &[("Unter 030 901820 oder 0151 23456789.", "Unter [PHONE] oder [PHONE].")]);
    masks("FR", &[("C'est le 06 12 34 56 78.", "C'est le [PHONE].")]);
    masks("ES", &[("Es el 612 345 678.", "Es el [PHONE].")]);
    masks("AU", &[("It's 0491 570 006 or 02 5550 1234.", "It's [PHONE] or [PHONE].")]);
    leaves("GB", &["It's 415-555-0132 over there.", "0800 to 1730, gate 12"]);
}

#[test]
fn card_numbers_are_masked() {
    masks(
        "US",
        &[
            ("My card is 4111 1111 1111 1111.", "My card is [CARD]."),
            ("4111-1111-1111-1111", "[CARD]"),
            ("4111, 1111, 1111, 1111, expiry 12 26", "[CARD], expiry 12 26"),
            ("4111. 1111. 1111. 1111. Thanks.", "[CARD]. Thanks."),
            ("It is 4111111111111111 12 26 123", "It is [CARD] 12 26 123"),
            ("Amex 3782 822463 10005 please", "Amex [CARD] please"),
            ("5555 5555 5555 4444 and 378282246310005", "[CARD] and [CARD]"),
            (
                "four one one one, one one one one, one one one one, one one one one, twelve twenty-six",
                "[CARD], twelve twenty-six",
            ),
            ("four triple one, double one double one, 1111, 1111", "[CARD]"),
            ("card 4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 okay", "card [CARD] okay"),
            ("number 2 is 6011 1111 1111 1117", "number 2 is [CARD]"),
            ("4111 1111 1111 1111 and call 415-555-0132", "[CARD] and call [PHONE]"),
            ("４１１１　１１１１　１１１１　１１１１", "[CARD]"),
        ],
    );
}

#[test]
fn addresses_are_masked() {
    masks(
        "US",
        &[
            ("Write to john.smith@example.com, please.", "Write to [EMAIL], please."),
            ("It's john dot smith at example dot com.", "It's [EMAIL]."),
            ("My email is john smith at gmail.com", "My email is [EMAIL]"),
            ("Send it to j underscore smith at example dot co dot uk today", "Send it to [EMAIL] today"),
            ("jsmith42 at example dot org", "[EMAIL]"),
            ("It's mary underscore jones 1985 at example dot com.", "It's [EMAIL]."),
            ("4155550132@example.com", "[EMAIL]"),
            ("The address is a b c at x y z dot net", "The address is [EMAIL]"),
            ("sue-ann@mail.example.co.uk and bob@example.io", "[EMAIL] and [EMAIL]"),
        ],
    );
}

#[test]
fn ordinary_sentences_with_numbers_stay() {
    leaves(
        "US",
        &[
            "I need 12 boxes by 2026-11-22 at 10:30.",
            "The total was $1,234,567.89 in 2024.",
            "That's 1,234,567,890 records.",
            "It costs 2125550132 dollars.",
            "We grew from 2019 to 2024 by 15 percent.",
            "Order 12345678 has 3 items, 250 each.",
            "Order number one two three four five six, please.",
            "Your confirmation number is 123456789012.",
            "Tracking 1Z999AA10123456784 is on its way.",
            "Case AB4155550132 is open.",
            "The server is 212.227.15.41, port 8080.",
            "My zip is 94107-1234.",
            "We open from 9 to 5, Monday to Friday.",
            "One, two, three, four, five, six, seven, eight, nine.",
            "two three four five six seven eight",
            "2, 3, 4, 5, 6, 7, 8, 9, 10",
            "nine eight seven six five four three two one zero",
            "It rose by 6.7, 4.9, 3.3, 2.7, 2.5 percent.",
            "I have one or two questions, oh, three.",
            "five hundred thousand, two hundred and one",
            "one hundred twenty three million four hundred fifty six thousand seven hundred eighty nine",
            "Flight 802 leaves on 11/22/2026 at 18:45.",
            "It was 1999 or 2001, 2003, 2005.",
            "Between 10 and 20, or 100 and 200.",
            "The card ending in 1111.",
            "The number 4111 1111 1111 1112 is wrong.",
            "1234 5678 9012 3456",
            "Extension 204, please.",
            "Order 5551234567 shipped.",
            "Let's say 800 1500 times.",
            "Rooms 305, 2026, and 305 and 2026.",
            "My social is 123-45-6789.",
            "Press 1 for sales, 2 for support, 3 for billing, 4 for returns, 5, 6, 7.",
            "Room 12, floor 3, building 7.",
            "He is 42, she is 39, and they met in 2004.",
            "Version 10.15.7 and 2.0.1 fail.",
            "twenty twenty-four was better than twenty nineteen",
            "plus twenty percent",
            "1-2-3, 4-5-6, 7-8-9-0",
            "The part is 123-415-555-0132-77.",
            "The ratio is 3.14159265358979.",
            "1920x1080",
        ],
    );
}

#[test]
fn ordinary_sentences_with_at_and_dot_stay() {
    leaves(
        "US",
        &[
            "Look at example dot com.",
            "I work at example.com now.",
            "She is a manager at example dot com.",
            "Meet me at noon.",
            "We are at the dot on the map.",
            "Follow us @ the booth",
            "at, dot, com",
            "You can find it at www dot example dot com.",
        ],
    );
}
