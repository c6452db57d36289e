#!/usr/bin/env bash
# Builds the program for many machines: for every processor of a level of x86-64, and for glibc 2.31 and later.
#
#   packaging/dist/build.sh v2|v3 FOLDER
#
# FOLDER/transcribe-<level> is the program with its symbols, FOLDER/transcribe-<version>-x86_64-<level>-linux.tar.gz what is
# handed out. Needs what packaging/dist/requirements.txt names on the path.
set -euo pipefail
usage() { sed -n 's/^# \{0,1\}//; 2,7p' "$0" >&2; exit 2; }
[ $# = 2 ] || usage
level=$1
# All that ggml can be told of x86-64: what is not named is on in some of its releases.
case $level in
    v2) vectors=OFF ;;
    v3) vectors=ON ;;
    *) usage ;;
esac
export GGML_NATIVE=OFF GGML_SSE42=ON
export GGML_AVX=$vectors GGML_AVX2=$vectors GGML_FMA=$vectors GGML_F16C=$vectors GGML_BMI2=$vectors
export GGML_AVX_VNNI=OFF GGML_AVX512=OFF GGML_AVX512_VBMI=OFF GGML_AVX512_VNNI=OFF GGML_AVX512_BF16=OFF
export GGML_AMX_TILE=OFF GGML_AMX_INT8=OFF GGML_AMX_BF16=OFF
# What differs from machine to machine.
export GGML_CCACHE=OFF GGML_OPENMP=OFF GGML_BLAS=OFF

mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/../.."
target=x86_64-unknown-linux-gnu glibc=2.31
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
export CARGO_TARGET_DIR=$PWD/target/dist-build
# Where it was built is nobody's business, and would make each build another one.
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTFLAGS="--remap-path-prefix=$PWD=/transcribe --remap-path-prefix=$cargo_home=/cargo"
export CFLAGS="-ffile-prefix-map=$PWD=/transcribe -ffile-prefix-map=$cargo_home=/cargo" CXXFLAGS
CXXFLAGS=$CFLAGS

# Cargo does not see that whisper.cpp is to be built in another way.
if [ "$(cat "$CARGO_TARGET_DIR/level" 2>/dev/null)" != "$level" ]; then
    cargo clean --quiet --release --target $target -p whisper-rs-sys
    mkdir -p "$CARGO_TARGET_DIR" && echo "$level" >"$CARGO_TARGET_DIR/level"
fi
# Names of functions stay: packaging/dist/instructions.py speaks of them.
cargo-zigbuild rustc --release --locked --target $target.$glibc --bin transcribe -- -C strip=none
install -m 755 "$CARGO_TARGET_DIR/$target/release/transcribe" "$folder/transcribe-$level"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
name=transcribe-$version-x86_64-$level-linux
mkdir "$work/$name"
strip -o "$work/$name/transcribe" "$folder/transcribe-$level"
# By the one that runs on this machine whatever it is, where it was built before.
generator=$folder/transcribe-v2
[ -x "$generator" ] || generator=$folder/transcribe-$level
"$generator" generate "$work/$name/generated"
cp README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT pipeline.toml "$work/$name"
# The same files give the same bytes. Those of an earlier version go.
rm -f "$folder"/transcribe-*-x86_64-"$level"-linux.tar.gz*
tar --create --directory "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --mode=u+rwX,go+rX,go-w "$name" | gzip -9n >"$folder/$name.tar.gz"
(cd "$folder" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$folder/$name.tar.gz"
