#!/usr/bin/env bash
# Runs the tests of the kernels as a 64-bit Arm processor would, in an emulator.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=aarch64-unknown-linux-musl
emulator=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if [ "$(uname -m)" = aarch64 ]; then
    emulator=
elif [ -z "$emulator" ]; then
    echo "no emulator of Arm here, so nothing was tested: install qemu-user-static"
    exit 0
fi
rustup target add "$target"
export CARGO_TARGET_DIR=$PWD/target/arm
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
if [ -n "$emulator" ]; then export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER=$emulator; fi
# The versions that the program is built with.
cp Cargo.lock tests/arm/Cargo.lock
cargo test --lib --manifest-path tests/arm/Cargo.toml --target "$target"
