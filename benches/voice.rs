//! `cargo bench --bench voice -- FOLDER`: Silero, as it is in the program, beside earshot over every recording below a
//! folder. Both go through one and the same simple rule, so that only the detectors differ: runs of voice of 64 ms or
//! more, padded by 256 ms on either side, joined over pauses of 2 s. Prints, per recording and per folder, how many
//! stretches and seconds each takes for speech, and the CPU time each needs.
#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use transcribe::decode::AudioStream;
use transcribe::stt::voice::{FRAME_SAMPLES, VoiceMeter, sanitised};

const SECOND: usize = 16_000;
const EARSHOT_SAMPLES: usize = 256;
const THRESHOLD: f32 = 0.5;
const SHORTEST_RUN: usize = 64 * SECOND / 1_000;
const PADDING: usize = 256 * SECOND / 1_000;
const LONGEST_GAP: usize = 2 * SECOND;

/// What one detector made of some sound.
#[derive(Default)]
struct Heard {
    stretches: usize,
    samples: usize,
    time: Duration,
}

impl Heard {
    fn new(probabilities: &[f32], frame: usize, length: usize, time: Duration) -> Self {
        let mut stretches: Vec<(usize, usize)> = Vec::new();
        let mut at = 0;
        for run in probabilities.chunk_by(|a, b| (*a >= THRESHOLD) == (*b >= THRESHOLD)) {
            let (start, end) = (at * frame, (at + run.len()) * frame);
            at += run.len();
            if run[0] < THRESHOLD || end - start < SHORTEST_RUN {
                continue;
            }
            match stretches.last_mut() {
                Some((_, last)) if start - *last <= LONGEST_GAP => *last = end,
                _ => stretches.push((start, end)),
            }
        }
        let padded = |&(start, end): &(usize, usize)| (end + PADDING).min(length) - start.saturating_sub(PADDING);
        Self { stretches: stretches.len(), samples: stretches.iter().map(padded).sum(), time }
    }

    fn add(&mut self, other: &Self) {
        self.stretches += other.stretches;
        self.samples += other.samples;
        self.time += other.time;
    }
}

fn silero(samples: &[f32]) -> Heard {
    let begin = Instant::now();
    let mut meter = VoiceMeter::default();
    let mut probabilities: Vec<f32> =
        samples.iter().filter_map(|sample| meter.push(*sample)).map(|frame| frame.voice).collect();
    probabilities.extend(meter.finish().map(|frame| frame.voice));
    Heard::new(&probabilities, FRAME_SAMPLES, samples.len(), begin.elapsed())
}

fn earshot(samples: &[f32]) -> Heard {
    let begin = Instant::now();
    let mut detector = earshot::Detector::default();
    let probabilities: Vec<f32> =
        samples.as_chunks::<EARSHOT_SAMPLES>().0.iter().map(|frame| detector.predict_f32(frame)).collect();
    Heard::new(&probabilities, EARSHOT_SAMPLES, samples.len(), begin.elapsed())
}

/// The channels of a recording; nothing where it is none.
fn channels(path: &Path) -> Vec<Vec<f32>> {
    let mut channels: Vec<Vec<f32>> = Vec::new();
    let Ok(mut stream) = AudioStream::open(path) else { return channels };
    while let Ok(Some(blocks)) = stream.next_block() {
        channels.resize(blocks.len(), Vec::new());
        for (channel, block) in channels.iter_mut().zip(blocks) {
            channel.extend(block.iter().map(|sample| sanitised(*sample)));
        }
    }
    channels
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files_below(&path, files)? } else { files.push(path) }
    }
    files.sort();
    Ok(())
}

fn print(name: &str, samples: usize, heard: &[Heard; 2]) {
    let seconds = |samples: usize| samples as f64 / SECOND as f64;
    let [a, b] = heard.each_ref().map(|heard| format!("{:>4} {:>7.1} s", heard.stretches, seconds(heard.samples)));
    println!("{name:<52} {:>7.1} s {a} {b}", seconds(samples));
}

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map(PathBuf::from) else {
        println!("give a folder with recordings: cargo bench --bench voice -- FOLDER");
        return Ok(());
    };
    let mut files = Vec::new();
    files_below(&folder, &mut files)?;
    println!("{:<52} {:>9} {:>14} {:>14}", "", "length", "Silero", "earshot");
    let mut folders: BTreeMap<String, (usize, [Heard; 2])> = BTreeMap::new();
    for path in files {
        let below = path.strip_prefix(&folder).unwrap_or(&path);
        let group = below.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
        for (index, samples) in channels(&path).iter().enumerate() {
            let heard = [silero(samples), earshot(samples)];
            print(&format!("{} {index}", below.display()), samples.len(), &heard);
            let (length, sums) = folders.entry(group.clone()).or_default();
            *length += samples.len();
            for (sum, heard) in sums.iter_mut().zip(&heard) {
                sum.add(heard);
            }
        }
    }
    println!();
    for (group, (length, heard)) in &folders {
        print(group, *length, heard);
    }
    let hours = folders.values().map(|(length, _)| *length as f64).sum::<f64>() / SECOND as f64 / 3_600.0;
    for (index, name) in ["Silero", "earshot"].into_iter().enumerate() {
        let time: f64 = folders.values().map(|(_, heard)| heard[index].time.as_secs_f64()).sum();
        println!("{name}: {:.1} s of one core per hour of sound", time / hours);
    }
    Ok(())
}
