//! The part of an MP4 file's edit list that says where the sound begins and how long it is.
//!
//! AAC encoders put about a thousand samples of silence first; Symphonia does not read edit lists, so without this
//! every M4A recording would start late. Only the shape that audio encoders write is understood: at most one empty edit
//! followed by one edit of the media.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use super::sniff::read_at;

/// Boxes looked at in all: a recording has a few dozen.
const MAX_BOXES: usize = 2000;

/// The edit of one track, in its own media time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// Ticks of the media before the sound begins.
    pub(super) skip: u64,
    /// Ticks of sound, rounded to the movie's coarser clock; absent when not said.
    pub(super) length: Option<u64>,
    /// Ticks in the movie's one tick, rounded up: how exact `length` is.
    pub(super) precision: u64,
}

#[derive(Default)]
struct TrackClues {
    id: Option<u32>,
    media_timescale: Option<u32>,
    /// (duration in movie time, media time) of the edit that shows media.
    edit: Option<(u64, u64)>,
}

struct BoxHead {
    kind: [u8; 4],
    body: u64,
    end: u64,
}

/// The edit of track `track_id` in the MP4 file; `None` without one or when the file is malformed.
pub(super) fn edit_of_track(file: &mut File, length: u64, track_id: u32) -> io::Result<Option<Edit>> {
    let mut movie_timescale = None;
    let mut tracks: Vec<TrackClues> = Vec::new();
    let mut open_ends = vec![length];
    file.seek(SeekFrom::Start(0))?;
    let mut at = 0;
    for _ in 0..MAX_BOXES {
        while open_ends.last().is_some_and(|end| at >= *end) {
            open_ends.pop();
        }
        let Some(parent_end) = open_ends.last().copied() else { break };
        let Some(head) = box_head(file, at, parent_end)? else { break };
        at = head.end;
        match &head.kind {
            b"moov" | b"trak" | b"mdia" | b"edts" => {
                if &head.kind == b"trak" {
                    tracks.push(TrackClues::default());
                }
                open_ends.push(head.end);
                at = head.body;
            }
            b"mvhd" => movie_timescale = versioned_field(&read_at(file, head.body, 32)?),
            b"tkhd" | b"mdhd" | b"elst" => {
                let body = read_at(file, head.body, (head.end - head.body).min(64))?;
                if let Some(track) = tracks.last_mut() {
                    match &head.kind {
                        b"tkhd" => track.id = versioned_field(&body),
                        b"mdhd" => track.media_timescale = versioned_field(&body),
                        _ => track.edit = media_edit(&body),
                    }
                }
            }
            _ => {}
        }
    }
    let track = tracks.into_iter().find(|track| track.id == Some(track_id));
    let Some((track, movie)) = track.zip(movie_timescale.filter(|scale| *scale > 0)) else { return Ok(None) };
    let Some(((duration, skip), media)) = track.edit.zip(track.media_timescale) else { return Ok(None) };
    let in_media = u128::from(duration) * u128::from(media) / u128::from(movie);
    let length = u64::try_from(in_media).ok().filter(|length| *length > 0);
    Ok(Some(Edit { skip, length, precision: u64::from(media.div_ceil(movie)) }))
}

fn box_head(file: &mut File, at: u64, parent_end: u64) -> io::Result<Option<BoxHead>> {
    let bytes = read_at(file, at, 16)?;
    let (Some(size), Some(kind)) = (be_u32(&bytes, 0), be_u32(&bytes, 4)) else { return Ok(None) };
    let kind = kind.to_be_bytes();
    let (header, size) = match size {
        0 => (8, parent_end - at),
        1 => match be_u64(&bytes, 8) {
            Some(size) => (16, size),
            None => return Ok(None),
        },
        size => (8, u64::from(size)),
    };
    let end = at.saturating_add(size);
    let is_sane = size >= header && end <= parent_end;
    Ok(is_sane.then_some(BoxHead { kind, body: at + header, end }))
}

/// The 32-bit field behind the two times of an `mvhd`, `mdhd` (its time scale) or `tkhd` box (its track id); the times
/// are wider in version 1.
fn versioned_field(body: &[u8]) -> Option<u32> {
    match body.first()? {
        0 => be_u32(body, 12),
        1 => be_u32(body, 20),
        _ => None,
    }
}

/// The first edit of an `elst` box that shows media, if it comes first or behind one empty edit.
fn media_edit(body: &[u8]) -> Option<(u64, u64)> {
    let version = *body.first()?;
    let entries = be_u32(body, 4)?;
    for index in 0..entries.min(2) {
        let index = usize::try_from(index).ok()?;
        let (duration, media_time) = match version {
            0 => {
                let at = 8 + index * 12;
                (u64::from(be_u32(body, at)?), i64::from(be_u32(body, at + 4)?.cast_signed()))
            }
            1 => {
                let at = 8 + index * 20;
                (be_u64(body, at)?, be_u64(body, at + 8)?.cast_signed())
            }
            _ => return None,
        };
        if let Ok(skip) = u64::try_from(media_time) {
            return Some((duration, skip));
        }
    }
    None
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

fn be_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let eight: [u8; 8] = bytes.get(at..at + 8)?.try_into().ok()?;
    Some(u64::from_be_bytes(eight))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, body].concat()
    }

    fn full(field: u32) -> Vec<u8> {
        [&[0; 12][..], &field.to_be_bytes(), &[0; 8]].concat()
    }

    fn movie(elst: &[u8]) -> Vec<u8> {
        let media = boxed(b"mdia", &boxed(b"mdhd", &full(16_000)));
        let edits = boxed(b"edts", &boxed(b"elst", elst));
        let track = boxed(b"trak", &[boxed(b"tkhd", &full(1)), edits, media].concat());
        let moov = boxed(b"moov", &[boxed(b"mvhd", &full(1000)), track].concat());
        [boxed(b"ftyp", b"M4A \0\0\0\0"), moov].concat()
    }

    fn edit(bytes: &[u8]) -> Option<Edit> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        edit_of_track(&mut file, bytes.len() as u64, 1).unwrap()
    }

    #[test]
    fn the_delay_and_the_length_come_in_media_time() {
        let elst = [&[0; 4][..], &[0, 0, 0, 1], &2_500_u32.to_be_bytes(), &1024_u32.to_be_bytes(), &[0, 1, 0, 0]];
        let expected = Edit { skip: 1024, length: Some(40_000), precision: 16 };
        assert_eq!(edit(&movie(&elst.concat())), Some(expected));
    }

    #[test]
    fn a_malformed_list_is_no_edit() {
        assert_eq!(edit(&movie(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])), None);
        assert_eq!(edit(&movie(&[])[..40]), None);
        assert_eq!(edit(b"\0\0\0\x01moov\0\0\0\0\0\0\0\0"), None);
    }
}
