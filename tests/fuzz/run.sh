#!/usr/bin/env bash
# Runs each fuzz target for so many seconds (60), under the address sanitizer. What it found lies in target/fuzz/<target>;
# the corpus grows in target/fuzz/corpus.
set -euo pipefail
seconds=${1:-60}
cd "$(dirname "$0")/../.."
host=$(rustc +nightly --version --verbose | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$PWD/target/fuzz
# What cargo-fuzz gives the compiler.
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Ccodegen-units=1"
# The versions that the program is built with.
cp Cargo.lock tests/fuzz/Cargo.lock
cargo +nightly build --release --target "$host" --manifest-path tests/fuzz/Cargo.toml
for target in model recording webhook wire; do
    corpus=$CARGO_TARGET_DIR/corpus/$target found=$CARGO_TARGET_DIR/$target
    mkdir -p "$corpus" "$found"
    case $target in
        recording) cp -n .cache/fixtures/edge/* .cache/fixtures/speech/*.mp3 "$corpus" ;;
        webhook | wire) cp -n tests/fuzz/corpus/"$target"/* "$corpus" ;;
    esac
    # Leaks are for the end of a process; memory is limited to what a hostile file must not reach.
    "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -max_len=200000 \
        -print_final_stats=1 -artifact_prefix="$found/" "$corpus"
done
