#!/usr/bin/env bash
# Makes a Debian package of a program that was built already; needs dpkg-deb and nothing of debhelper.
#
#   packaging/debian/build.sh PROGRAM GENERATED FOLDER
#
# PROGRAM is the binary, GENERATED the folder that `transcribe generate` filled (completions and man pages), FOLDER where the
# package goes. DEBFULLNAME and DEBEMAIL say who made it (else the user and host of this shell); SOURCE_DATE_EPOCH says when
# (else the time of the last commit), and with it the same files give the same bytes.
set -euo pipefail
[ $# = 3 ] || { sed -n 's/^# \{0,1\}//; 2,6p' "$0" >&2; exit 2; }
program=$(realpath "$1") generated=$(realpath "$2")
mkdir -p "$3"
folder=$(realpath "$3")
cd "$(dirname "$0")/../.."

version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)-1
case $(od -An -tu2 -j18 -N2 "$program" | tr -d ' ') in
    62) architecture=amd64 ;;
    183) architecture=arm64 ;;
    *) echo "$program is a program for neither amd64 nor arm64" >&2; exit 2 ;;
esac
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
maintainer="${DEBFULLNAME:-$(id -un)} <${DEBEMAIL:-$(id -un)@$(hostname)}>"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
put() { install -D -m "$1" "$2" "$root/$3"; }
compressed() { install -d "$root/$(dirname "$1")" && gzip -9n >"$root/$1" && chmod 644 "$root/$1"; }

put 755 "$program" usr/bin/transcribe
strip --remove-section=.comment --remove-section=.note "$root/usr/bin/transcribe"
for unit in packaging/systemd/*.service packaging/systemd/*.timer packaging/systemd/*.d/*.conf; do
    put 644 "$unit" "usr/lib/systemd/system/${unit#packaging/systemd/}"
done
put 644 "$generated/transcribe.bash" usr/share/bash-completion/completions/transcribe
put 644 "$generated/_transcribe" usr/share/zsh/vendor-completions/_transcribe
put 644 "$generated/transcribe.fish" usr/share/fish/vendor_completions.d/transcribe.fish
for page in "$generated"/*.1; do
    compressed "usr/share/man/man1/${page##*/}.gz" <"$page"
done

# Every key with its default, each commented out: what the program does without the file.
install -d -m 755 "$root/etc/transcribe"
{
    cat packaging/debian/pipeline.head
    tail -n +2 pipeline.toml | sed -E 's/^([a-z_0-9]+ = )/#\1/'
} >"$root/etc/transcribe/pipeline.toml"
chmod 644 "$root/etc/transcribe/pipeline.toml"
install -d -m 700 "$root/etc/transcribe/credentials"

documents=usr/share/doc/transcribe
put 644 packaging/debian/copyright "$documents/copyright"
put 644 packaging/README.md "$documents/README.packages.md"
put 644 SECURITY.md "$documents/SECURITY.md"
compressed "$documents/changelog.gz" <CHANGELOG.md
printf 'transcribe (%s) unstable; urgency=medium\n\n  * What changed is in changelog.gz.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | compressed "$documents/changelog.Debian.gz"
put 644 packaging/debian/lintian-overrides usr/share/lintian/overrides/transcribe

# The libraries that the program was linked with, in the versions that it needs of them.
mkdir -p "$work/debian" "$root/DEBIAN"
printf 'Source: transcribe\n\nPackage: transcribe\nArchitecture: any\n' >"$work/debian/control"
if command -v dpkg-shlibdeps >/dev/null; then
    libraries=$(cd "$work" && dpkg-shlibdeps -O "$root/usr/bin/transcribe" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
else
    echo "dpkg-shlibdeps is missing: the package asks for libraries without their versions" >&2
    libraries="libc6, libgcc-s1, libstdc++6"
fi
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
cat >"$root/DEBIAN/control" <<CONTROL
Package: transcribe
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $size
Depends: $libraries, ca-certificates
Recommends: systemd (>= 250)
Section: sound
Priority: optional
Description: Zoom Phone recordings to Parquet transcripts, on this machine
 Lists the recordings of a Zoom Phone account, downloads them, transcribes them
 with Whisper on this machine (audio never leaves it), and writes Parquet tables
 that DuckDB, Athena, Spark and PyArrow read.
 .
 There are units for a run every night (transcribe-nightly.timer), a service
 that Zoom's events wake (transcribe-serve.service) and a worker of a fleet
 (transcribe-worker.service); none is enabled by the installation.
CONTROL
echo /etc/transcribe/pipeline.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    install -m 755 "packaging/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}

find "$root" -print0 | xargs -0 touch --no-dereference --date="@$SOURCE_DATE_EPOCH"
package=$folder/transcribe_${version}_${architecture}.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
