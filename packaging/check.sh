#!/usr/bin/env bash
# Checks the packages with each tool of theirs that is here, and says which are not:
#
#   packaging/check.sh [PACKAGE.deb]
#
# 0: nobody that was here found anything. 1: somebody did.
set -uo pipefail
package=${1:+$(realpath "$1")}
cd "$(dirname "$0")" || exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$PWD/../.venv/bin:$PATH
found=0 missing=()

has() { command -v "$1" >/dev/null || { missing+=("$1: $2"); return 1; }; }
# Says what was found, and that it was: some of these tools complain and exit with 0 all the same.
judge() { # name, what it said, its exit code
    if [ "$3" = 0 ] && [ -z "$2" ]; then
        echo "ok       $1"
    else
        printf 'FOUND    %s\n%s\n' "$1" "$2"
        found=1
    fi
}

if has systemd-analyze "the units were not verified"; then
    # A machine on which the program is installed.
    units=$work/root/usr/lib/systemd/system
    mkdir -p "$units" "$work/root/usr/bin" "$work/root/bin"
    cp -r systemd/. "$units"
    for target in basic sysinit shutdown multi-user timers network network-online; do
        printf '[Unit]\nDescription=%s\n' "$target" >"$units/$target.target"
    done
    for program in usr/bin/transcribe bin/kill; do
        printf '#!/bin/sh\n' >"$work/root/$program"
        chmod +x "$work/root/$program"
    done
    for unit in systemd/*.service systemd/*.timer; do
        unit=${unit#systemd/}
        said=$(systemd-analyze verify --man=no --root="$work/root" "$unit" 2>&1)
        judge "systemd-analyze verify $unit" "$said" $?
        case $unit in *.timer) continue ;; esac
        # In tenths of 10: what a unit that may do anything has.
        said=$(systemd-analyze security --offline=yes --root="$work/root" --threshold=20 --no-pager "$unit" 2>&1)
        code=$?
        [ $code != 0 ] || said=
        judge "systemd-analyze security $unit" "$said" $code
    done
fi

if has hadolint "the Containerfile was not linted"; then
    said=$(hadolint container/Containerfile 2>&1)
    judge "hadolint container/Containerfile" "$said" $?
fi

manifests=$work/manifests.yaml
if has kubectl "the manifests were not put together"; then
    said=$(kubectl kustomize kubernetes 2>&1 >"$manifests")
    judge "kubectl kustomize kubernetes" "$said" $?
else
    for manifest in kubernetes/*.yaml; do
        case $manifest in */kustomization.yaml) continue ;; esac
        printf -- '---\n' && cat "$manifest"
    done >"$manifests"
fi
if has kubernetes-validate "the manifests were not compared with Kubernetes's schema"; then
    # It has no schema of KEDA's kinds.
    said=$(kubernetes-validate --strict --quiet "$manifests" kubernetes/secrets.template.yaml 2>&1)
    code=$?
    judge "kubernetes-validate kubernetes" "$(grep -v "WARN .*kind ScaledObject" <<<"$said")" $code
fi

if has shellcheck "the scripts were not linted"; then
    said=$(shellcheck check.sh debian/build.sh debian/postinst debian/prerm debian/postrm 2>&1)
    judge "shellcheck" "$said" $?
fi

if [ -z "$package" ]; then
    missing+=("lintian: no package was given to it")
elif has lintian "the package was not looked at"; then
    # Who built it is told by the environment, and is nobody's mistake.
    said=$(lintian --allow-root --tag-display-limit 0 --fail-on error,warning \
        --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,root-in-contact "$package" 2>&1)
    judge "lintian ${package##*/}" "$said" $?
fi

for tool in "${missing[@]}"; do
    echo "not here $tool"
done
exit $found
