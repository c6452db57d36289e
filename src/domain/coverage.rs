//! How what a source lists and what the lake holds can differ.

use serde::{Deserialize, Serialize};

/// Why a recording is not the same on both sides, as it stands in `coverage.reason` and in `--format json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Listed, and a run will still bring it.
    NotYet,
    /// Listed with a second or less, and there is no sound in it.
    TooShort,
    /// Listed, and given up with a reason that stands in `quarantine`.
    Quarantined,
    /// In the lake, and no longer listed.
    DeletedInZoom,
    /// Listed, and purged here.
    Purged,
    /// Listed, and neither in the lake nor on its way; or in the lake with rows missing.
    Lost,
    /// Twice in the lake.
    Double,
    /// Segments or words in the lake whose recording is not there.
    Orphaned,
}

impl Difference {
    pub const ALL: [Self; 8] = [
        Self::NotYet,
        Self::TooShort,
        Self::Quarantined,
        Self::DeletedInZoom,
        Self::Purged,
        Self::Lost,
        Self::Double,
        Self::Orphaned,
    ];

    /// The word in the lake and in `--format json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotYet => "not_yet",
            Self::TooShort => "too_short",
            Self::Quarantined => "quarantined",
            Self::DeletedInZoom => "deleted_in_zoom",
            Self::Purged => "purged",
            Self::Lost => "lost",
            Self::Double => "double",
            Self::Orphaned => "orphaned",
        }
    }

    /// Whether it is as it should be; the others are trouble.
    #[must_use]
    pub const fn is_explained(self) -> bool {
        match self {
            Self::NotYet | Self::TooShort | Self::Quarantined | Self::DeletedInZoom | Self::Purged => true,
            Self::Lost | Self::Double | Self::Orphaned => false,
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NotYet => "on its way: the next runs transcribe it",
            Self::TooShort => "a second or less, without sound that could be transcribed",
            Self::Quarantined => "given up; the table quarantine says why",
            Self::DeletedInZoom => "in the lake, no longer in Zoom",
            Self::Purged => "purged here, still in Zoom",
            Self::Lost => "neither in the lake nor on its way",
            Self::Double => "more than once in the lake",
            Self::Orphaned => "segments or words without a row in recordings",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_written_as_the_same_word_everywhere() {
        for difference in Difference::ALL {
            assert_eq!(serde_json::to_value(difference).unwrap(), difference.as_str());
        }
    }

    #[test]
    fn what_is_missing_or_twice_is_never_explained() {
        let unexplained: Vec<&str> =
            Difference::ALL.iter().filter(|kind| !kind.is_explained()).map(|kind| kind.as_str()).collect();
        assert_eq!(unexplained, ["lost", "double", "orphaned"]);
    }
}
