#!/usr/bin/env python3
"""What the program is made of, as a CycloneDX document: every crate that is linked or builds it, with licence and checksum.

    packaging/sbom.py [--features "otlp azure"] [--target x86_64-unknown-linux-gnu] > transcribe.cdx.json

It asks cargo for what Cargo.lock says, builds nothing, and names no time: the same lock gives the same document.
"""

import argparse
import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
# What crates bring along that is no crate: name, version, licence, address, and the crate that brings it.
WITHIN = [
    ("whisper.cpp", "1.8.3", "MIT", "https://github.com/ggml-org/whisper.cpp", "whisper-rs-sys"),
    ("aws-lc", None, "Apache-2.0 OR ISC", "https://github.com/aws/aws-lc", "aws-lc-sys"),
    ("sqlite", None, "blessing", "https://sqlite.org", "libsqlite3-sys"),
    ("zstd", None, "BSD-3-Clause", "https://github.com/facebook/zstd", "zstd-sys"),
]
# What lies in this repository and was made by others.
OWN = [("silero-vad", "weights in src/stt/voice", "MIT", "https://github.com/snakers4/silero-vad")]


def metadata(features, target):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    if features:
        command += ["--features", features]
    return json.loads(subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, check=True).stdout)


def used(resolve, root):
    """The packages that the program needs, without those of its tests, with what each needs."""
    nodes = {node["id"]: node for node in resolve["nodes"]}
    needs, open_ids = {}, [root]
    while open_ids:
        package = open_ids.pop()
        if package in needs:
            continue
        linked = [dep for dep in nodes[package]["deps"] if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])]
        needs[package] = sorted(dep["pkg"] for dep in linked)
        open_ids += needs[package]
    return needs


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def document(features, target):
    said = metadata(features, target)
    packages = {package["id"]: package for package in said["packages"]}
    (root,) = said["workspace_members"]
    needs = used(said["resolve"], root)
    lock = tomllib.loads((PROJECT / "Cargo.lock").read_text())["package"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in lock}
    components, dependencies = [], []
    for each in sorted(needs, key=lambda each: purl(packages[each])):
        package = packages[each]
        dependencies.append({"ref": purl(package), "dependsOn": sorted(purl(packages[need]) for need in needs[each])})
        if each == root:
            continue
        component = {
            "type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"],
            "scope": "required", "purl": purl(package),
        }  # fmt: skip
        if package["license"]:
            # Some say MIT/Apache-2.0, which means OR.
            words = package["license"].replace("/", " OR ").split()
            component["licenses"] = [{"expression": " ".join(words)}]
        if checksum := checksums[(package["name"], package["version"])]:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if package["repository"]:
            component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        within = [part for part in WITHIN if part[4] == package["name"]]
        if within:
            component["components"] = [part_of(*part[:4]) for part in within]
        components.append(component)
    components += [part_of(*part) for part in OWN]
    program = packages[root]
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": purl(program), "name": program["name"],
                "version": program["version"], "licenses": [{"expression": program["license"]}],
            },
            "properties": [{"name": "cargo:target", "value": target}, {"name": "cargo:features", "value": features}],
        },
        "components": components,
        "dependencies": dependencies,
    }  # fmt: skip
    body["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))}"
    return body


def part_of(name, version, licence, address):
    part = {"type": "library", "name": name, "licenses": [{"license": {"id": licence}}]}
    if " " in licence:
        part["licenses"] = [{"expression": licence}]
    if version:
        part["version"] = version
    return {**part, "externalReferences": [{"type": "website", "url": address}]}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--features", default="", help="as cargo takes them")
    arguments.add_argument("--target", default="x86_64-unknown-linux-gnu", help="the machine it is built for")
    options = arguments.parse_args()
    json.dump(document(options.features, options.target), sys.stdout, indent=1, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
