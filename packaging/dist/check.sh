#!/usr/bin/env bash
# Runs what packaging/dist/build.sh made where it must run, and says what could not be tried here:
#
#   packaging/dist/check.sh FOLDER [MODEL.bin RECORDING]
#
# Its instructions against its level, the glibc it asks for, older processors in an emulator, and Debian 11 (with a
# transcription, where a model and a recording are given). 0: all that was tried holds.
set -uo pipefail
[ $# = 1 ] || [ $# = 3 ] || { sed -n 's/^# \{0,1\}//; 2,7p' "$0" >&2; exit 2; }
folder=$(realpath "$1") model=${2:+$(realpath "$2")} recording=${3:+$(realpath "$3")}
cd "$(dirname "$0")/../.." || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wrong=0
judge() { # what holds, whether it does (0), what was seen
    if [ "$2" = 0 ]; then echo "ok       $1"; else
        printf 'WRONG    %s\n%s\n' "$1" "$3"
        wrong=1
    fi
}
# Whether a command prints a text and ends with a code; what it said is left in `said`.
says() { # code, text, command…
    local code=$1 text=$2
    shift 2
    said=$("$@" 2>&1)
    local was=$?
    [ $was = "$code" ] && grep -qF "$text" <<<"$said" && return
    said="exit code $was: $said"
    return 1
}

for level in v2 v3; do
    program=$folder/transcribe-$level
    said=$(packaging/dist/instructions.py $level "$program")
    judge "$level: no instruction beyond its level that nobody asks the processor about" $? "$said"
    newest=$(objdump -T "$program" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    [ "$(printf '%s\n' "$newest" GLIBC_2.31 | sort -V | tail -n 1)" = GLIBC_2.31 ]
    judge "$level: needs glibc 2.31 at most" $? "$newest"
    others=$(objdump -p "$program" | sed -n 's/^ *NEEDED *//p' | grep -vE '^(lib(c|m|dl|rt|pthread)\.so\.[0-9]+|ld-linux-x86-64\.so\.2)$')
    [ -z "$others" ]
    judge "$level: needs no library but those of glibc" $? "$others"
    # The one that is handed out: symbols and what the C compiler notes beside them are stripped from it.
    tar --extract --gzip --directory "$work" --file "$(ls "$folder"/transcribe-*-x86_64-$level-linux.tar.gz)"
    said=$(strings "$work"/transcribe-*-x86_64-$level-linux/transcribe | grep -F -m 5 -e "$PWD" -e "${CARGO_HOME:-$HOME/.cargo}")
    [ -z "$said" ]
    judge "$level: does not say where it was built" $? "$said"
done

emulator=$(command -v qemu-x86_64-static || command -v qemu-x86_64)
if [ -n "$emulator" ]; then
    says 0 "transcribe " "$emulator" -cpu Nehalem "$folder/transcribe-v2" --version
    judge "v2 starts on a processor of 2008 (x86-64-v2)" $? "$said"
    says 3 "was built for processors with" "$emulator" -cpu core2duo "$folder/transcribe-v2" --version
    judge "v2 says what an older one lacks" $? "$said"
    says 3 "was built for processors with avx, avx2, fma" "$emulator" -cpu Nehalem "$folder/transcribe-v3" --version
    judge "v3 says what a processor of 2008 lacks" $? "$said"
    says 0 "transcribe " "$emulator" -cpu Haswell "$folder/transcribe-v3" --version
    judge "v3 starts on a processor of 2013 (x86-64-v3)" $? "$said"
else
    echo "not here qemu-user: older processors were not tried"
fi

debian=target/debian-11
if ! command -v debootstrap >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "not here debootstrap, as root: Debian 11 was not tried"
else
    if [ ! -f $debian/etc/debian_version ]; then
        echo "making a Debian 11 in $debian"
        debootstrap --variant=minbase bullseye "$work/debian" >"$work/log" 2>&1 || { tail -n 5 "$work/log"; exit 1; }
        mkdir -p target && mv "$work/debian" $debian
    fi
    # The engine is a child process, which is started from there.
    mount -t proc proc $debian/proc && trap 'umount '$debian'/proc; rm -rf "$work"' EXIT
    release="Debian $(cat $debian/etc/debian_version)"
    for level in v2 v3; do
        cp "$work"/transcribe-*-x86_64-$level-linux/transcribe $debian/usr/bin/transcribe
        says 0 "transcribe " chroot $debian transcribe --version
        judge "$level starts on $release" $? "$said"
        [ -n "$model" ] || continue
        place=$debian/srv/$level name=$(basename "$model" .bin)
        rm -rf "$place" && mkdir -p "$place/calls" "$place/models"
        cp "$model" "$place/models/" && cp "$recording" "$place/calls/"
        says 0 "" chroot $debian sh -c "cd /srv/$level && HOME=/srv/$level transcribe --dir calls --set stt.model=$name --set paths.models_dir=models"
        judge "$level transcribes on $release" $? "$said"
        ls "$place"/lake/segments/dt=*/*.parquet >/dev/null 2>&1
        judge "$level writes Parquet there" $? "$(find "$place" -type f)"
    done
fi
exit $wrong
