"""The packages fit the program and themselves: options, ports, paths, names and secrets. What needs a tool of its own is
for packaging/check.sh."""

import gzip
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
PACKAGING = PROJECT / "packaging"
PROGRAM = PROJECT / "target" / "debug" / "transcribe"
DEFAULTS = tomllib.loads((PROJECT / "pipeline.toml").read_text())


def run(*arguments, environment=None, cwd=None):
    """What the program says, and its exit code; nothing of this shell's environment gets in."""
    if not PROGRAM.exists():
        raise AssertionError(f"{PROGRAM} is missing: run `make build` first")
    environment = {"PATH": os.environ["PATH"], **(environment or {})}
    return subprocess.run([PROGRAM, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def sources():
    """The files of which the program is made, with their text."""
    return {path: path.read_text() for path in sorted((PROJECT / "src").rglob("*.rs"))}


def is_named(*words):
    """Whether one of the words stands between quotation marks in the program."""
    return any(f'"{word}"' in text for text in sources().values() for word in words)


def seconds(text):
    number, unit = re.fullmatch(r"(\d+) ?(s|min|m|h|d)?", text).groups()
    return int(number) * {None: 1, "s": 1, "min": 60, "m": 60, "h": 3_600, "d": 86_400}[unit]


def size(text):
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)B?", text).groups()
    return int(number) * {"Mi": 2**20, "Gi": 2**30}[unit]


def port(address):
    return int(address.rsplit(":", 1)[1])


def ports_of(rules):
    """The numbers in the rules of a NetworkPolicy."""
    return {each["port"] for rule in rules for each in rule["ports"]}


def default_with(overlay):
    """The defaults with what a file says instead."""
    return {section: {**keys, **overlay.get(section, {})} for section, keys in DEFAULTS.items()}


class Arguments(unittest.TestCase):
    def accepted(self, arguments):
        """Whether the program knows this command and each of these options."""
        said = run(*arguments, "--help")
        self.assertEqual(said.returncode, 0, f"{arguments}: {said.stderr}")

    def test_units_start_what_there_is(self):
        for unit in sorted((PACKAGING / "systemd").glob("*.service")):
            with self.subTest(unit.name):
                program, *arguments = shlex.split(dict(settings(unit))["ExecStart"])
                self.assertEqual(program, "/usr/bin/transcribe")
                self.accepted(arguments)

    def test_containers_start_what_there_is(self):
        for kind in ("StatefulSet", "Deployment"):
            for container in containers(one(kind)):
                with self.subTest(kind=kind, container=container["name"]):
                    self.accepted(container["args"])

    def test_the_health_check_is_a_command_that_ends_well_in_an_empty_folder(self):
        (check,) = instructions("HEALTHCHECK")
        program, *arguments = yaml.safe_load(check.partition("CMD ")[2])
        self.assertEqual(program, "transcribe")
        with tempfile.TemporaryDirectory() as folder:
            said = run(*arguments, cwd=folder)
            self.assertEqual(said.returncode, 0, said.stderr)


def settings(unit):
    """The keys of a unit in order, with what they say; a key may come more than once."""
    lines = unit.read_text().splitlines()
    return [tuple(line.split("=", 1)) for line in lines if "=" in line and not line.startswith("#")]


class Units(unittest.TestCase):
    FOLDER = PACKAGING / "systemd"
    SANDBOX = FOLDER / "transcribe-.service.d" / "sandbox.conf"

    def all_settings(self):
        for unit in sorted(self.FOLDER.glob("*.service")):
            yield unit.name, settings(unit) + settings(self.SANDBOX)

    def test_the_sandbox_is_for_every_unit(self):
        for unit in self.FOLDER.glob("*.service"):
            self.assertTrue(unit.name.startswith("transcribe-"), unit.name)

    def test_each_secret_that_the_program_is_told_of_is_loaded_and_one_that_it_asks_for(self):
        for unit, keys in self.all_settings():
            loaded = {said.split(":", 1)[0] for key, said in keys if key == "LoadCredential"}
            named = [said for key, said in keys if key == "Environment" and "_FILE=" in said]
            self.assertTrue(named, unit)
            for variable, path in (said.split("=", 1) for said in named):
                self.assertIn(path.removeprefix("%d/"), loaded, unit)
                self.assertTrue(is_named(variable.removesuffix("_FILE")), f"the program does not ask for {variable}")
            self.assertEqual(len(named), len(loaded), unit)

    def test_keys_in_the_environment_are_keys_of_the_program(self):
        for unit, keys in self.all_settings():
            said = [said.split("=", 1) for key, said in keys if key == "Environment" and said.startswith("TRANSCRIBE__")]
            told = run("config", "show", environment=dict(said))
            self.assertEqual(told.returncode, 0, f"{unit}: {told.stderr}")

    def test_what_is_not_tried_again_is_an_exit_code(self):
        numbers = (PROJECT / "src/pipeline/exit_code.rs").read_text()
        known = {int(number) for number in re.findall(r"Self::\w+ => (\d+),", numbers)}
        self.assertIn(5, known)
        for unit, keys in self.all_settings():
            given_up = {int(code) for code in dict(keys)["RestartPreventExitStatus"].split()}
            self.assertLessEqual(given_up, known, unit)
            self.assertNotIn(5, given_up, f"{unit}: work remains, and is to be tried again")

    def test_there_is_time_to_finish_what_is_in_work(self):
        drain = seconds(DEFAULTS["trigger"]["drain"])
        for unit, keys in self.all_settings():
            limit = dict(keys).get("TimeoutStopSec")
            if limit is not None:
                self.assertGreater(seconds(limit), drain, unit)

    def test_tries_of_a_night_end_within_the_overlap_of_its_window(self):
        unit, timer = (dict(settings(self.FOLDER / f"transcribe-nightly.{kind}")) for kind in ("service", "timer"))
        window = re.search(r"--since (\S+)", unit["ExecStart"]).group(1)
        tries = int(unit["StartLimitBurst"]) * seconds(unit["RestartSec"])
        self.assertEqual(timer["FixedRandomDelay"], "yes")
        self.assertLess(seconds("24h") + tries, seconds(window))


def documents(name):
    return [document for document in yaml.safe_load_all((PACKAGING / "kubernetes" / name).read_text()) if document]


def manifests():
    """What kustomization.yaml applies."""
    (kustomization,) = documents("kustomization.yaml")
    return [document for name in kustomization["resources"] for document in documents(name)]


def one(kind):
    (document,) = [document for document in manifests() if document["kind"] == kind]
    return document


def pod(workload):
    return workload["spec"]["template"]["spec"]


def containers(workload):
    return pod(workload).get("initContainers", []) + pod(workload)["containers"]


class Manifests(unittest.TestCase):
    def setUp(self):
        self.overlay = tomllib.loads((PACKAGING / "kubernetes/pipeline.toml").read_text())
        self.config = default_with(self.overlay)
        self.metrics = port(self.config["telemetry"]["metrics_listen"])
        self.webhook = port(self.overlay["trigger"]["webhook"]["listen"])
        self.workloads = [one("StatefulSet"), one("Deployment")]

    def test_every_file_is_applied_or_a_template(self):
        (kustomization,) = documents("kustomization.yaml")
        there = {path.name for path in (PACKAGING / "kubernetes").glob("*.yaml")}
        self.assertEqual(there, {*kustomization["resources"], "kustomization.yaml", "secrets.template.yaml"})
        for name in there:
            for document in documents(name):
                self.assertIn("kind", document, name)

    def test_the_configuration_is_accepted(self):
        told = run("config", "show", "--config", str(PACKAGING / "kubernetes/pipeline.toml"))
        self.assertEqual(told.returncode, 0, told.stderr)

    def test_what_is_named_is_there(self):
        (kustomization,) = documents("kustomization.yaml")
        configs = {generator["name"] for generator in kustomization["configMapGenerator"]}
        secrets = {document["metadata"]["name"]: document for document in documents("secrets.template.yaml")}
        for workload in self.workloads:
            spec = pod(workload)
            claims = {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
            volumes = {volume["name"] for volume in spec["volumes"]} | claims
            self.assertEqual(spec["serviceAccountName"], one("ServiceAccount")["metadata"]["name"])
            for volume in spec["volumes"]:
                if "configMap" in volume:
                    self.assertIn(volume["configMap"]["name"], configs)
                if "secret" in volume:
                    keys = secrets[volume["secret"]["secretName"]]["stringData"]
                    self.assertLessEqual({item["key"] for item in volume["secret"].get("items", [])}, set(keys))
            for container in containers(workload):
                self.assertLessEqual({mount["name"] for mount in container["volumeMounts"]}, volumes)
                self.assertIn(container["image"], {image["name"] for image in kustomization["images"]})

    def test_each_secret_file_is_mounted_and_one_that_the_program_asks_for(self):
        secrets = {document["metadata"]["name"]: document for document in documents("secrets.template.yaml")}
        for workload in self.workloads:
            volumes = {volume["name"]: volume for volume in pod(workload)["volumes"]}
            for container in pod(workload)["containers"]:
                mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
                for variable in container["env"]:
                    folder, key = variable["value"].rsplit("/", 1)
                    secret = volumes[mounts[folder]]["secret"]
                    whole = secrets[secret["secretName"]]["stringData"]
                    items = {item["path"] for item in secret["items"]} if "items" in secret else set(whole)
                    self.assertIn(key, items, variable["name"])
                    names = variable["name"], variable["name"].removesuffix("_FILE")
                    self.assertTrue(is_named(*names), f"the program does not ask for {names[0]}")

    def test_the_template_has_no_secret(self):
        for document in documents("secrets.template.yaml"):
            self.assertEqual(set(document["stringData"].values()), {""})
            self.assertNotIn("data", document)

    def test_nobody_is_root_and_nothing_can_be_gained(self):
        for workload in self.workloads:
            spec = pod(workload)
            self.assertFalse(spec["automountServiceAccountToken"])
            self.assertTrue(spec["securityContext"]["runAsNonRoot"])
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            for container in containers(workload):
                context = container["securityContext"]
                self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertIn("memory", container["resources"]["limits"])
        uid = self.workloads[0]["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
        self.assertEqual(instructions("USER"), [f"{uid}:{uid}"])

    def test_what_is_written_to_is_a_volume(self):
        paths = self.config["paths"]
        for workload in self.workloads:
            (container,) = pod(workload)["containers"]
            writable = [Path(mount["mountPath"]) for mount in container["volumeMounts"] if not mount.get("readOnly")]
            self.assertTrue(any(place in Path(paths["state_dir"]).parents for place in writable), "a folder of its own in it")
        worker = one("Deployment")
        (init,), (container,) = pod(worker)["initContainers"], pod(worker)["containers"]
        for each in (init, container):
            self.assertIn(paths["models_dir"], [mount["mountPath"] for mount in each["volumeMounts"]])
        self.assertEqual(init["args"], ["models", "pull", self.config["stt"]["model"]])
        (scratch,) = [volume for volume in pod(worker)["volumes"] if volume["name"] == "scratch"]
        self.assertGreater(size(scratch["emptyDir"]["sizeLimit"]), size(paths["spool_max_bytes"]))

    def test_there_is_time_to_finish_what_is_in_work(self):
        for workload in self.workloads:
            self.assertGreater(pod(workload)["terminationGracePeriodSeconds"], seconds(self.config["trigger"]["drain"]))

    def test_ports_are_those_of_the_configuration(self):
        service = one("Service")
        coordinator, worker = self.workloads
        wanted = {"webhook": self.webhook, "metrics": self.metrics}
        self.assertEqual({each["name"]: each["port"] for each in service["spec"]["ports"]}, wanted)
        self.assertEqual({each["targetPort"] for each in service["spec"]["ports"]}, set(wanted))
        for workload, ports in ((coordinator, wanted), (worker, {"metrics": self.metrics})):
            (container,) = pod(workload)["containers"]
            self.assertEqual({each["name"]: each["containerPort"] for each in container["ports"]}, ports)
        served = (PROJECT / "src/telemetry/ops.rs").read_text()
        for workload in self.workloads:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = pod(workload)["containers"][0][probe]["httpGet"]
                self.assertEqual(asked["port"], "metrics")
                self.assertIn(f'"{asked["path"]}"', served)

    def test_selectors_find_pods(self):
        labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in self.workloads]

        def found(selector):
            return [selector.items() <= each.items() for each in labels]

        self.assertEqual(found(one("Service")["spec"]["selector"]), [True, False])
        self.assertEqual(found(one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]), [False, True])
        for index, workload in enumerate(self.workloads):
            wanted = [place == index for place in range(2)]
            self.assertEqual(found(workload["spec"]["selector"]["matchLabels"]), wanted)
        self.assertEqual(one("StatefulSet")["spec"]["serviceName"], one("Service")["metadata"]["name"])

    def test_policies_let_through_what_the_program_does_and_nothing_else(self):
        policies = {policy["metadata"]["name"]: policy["spec"] for policy in manifests() if policy["kind"] == "NetworkPolicy"}
        nothing = policies.pop("transcribe-nothing")
        self.assertEqual(set(nothing["policyTypes"]), {"Ingress", "Egress"})
        self.assertNotIn("ingress", nothing)
        self.assertNotIn("egress", nothing)
        nats = port(self.overlay["queue"]["url"])
        self.assertEqual(ports_of(policies.pop("transcribe-out")["egress"]), {53, nats, 443})
        self.assertEqual(ports_of(policies.pop("transcribe-coordinator-in")["ingress"]), {self.webhook, self.metrics})
        self.assertEqual(ports_of(policies.pop("transcribe-worker-in")["ingress"]), {self.metrics})
        self.assertEqual(policies, {})
        for rule in documents("network-policy.yaml")[1]["spec"]["egress"]:
            for peer in rule["to"]:
                if "ipBlock" in peer and peer["ipBlock"]["cidr"].startswith("0."):
                    self.assertIn("169.254.0.0/16", peer["ipBlock"]["except"])

    def test_workers_are_scaled_by_a_metric_that_the_coordinator_has(self):
        scaled = one("ScaledObject")["spec"]
        self.assertEqual(scaled["scaleTargetRef"]["name"], one("Deployment")["metadata"]["name"])
        self.assertNotIn("replicas", one("Deployment")["spec"])
        (trigger,) = scaled["triggers"]
        service = one("Service")["metadata"]["name"]
        (kustomization,) = documents("kustomization.yaml")
        url = f"http://{service}.{kustomization['namespace']}.svc:{self.metrics}/metrics"
        self.assertEqual(trigger["metadata"]["url"], url)
        metric = trigger["metadata"]["valueLocation"]
        self.assertTrue(is_named(metric), f"the program has no metric {metric}")


def instructions(name):
    """What each instruction of this name in the Containerfile says, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (PACKAGING / "container/Containerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line.split(" ", 1)[1] for line in lines if line.startswith(f"{name} ")]


class Container(unittest.TestCase):
    def test_volumes_are_where_the_defaults_lead(self):
        self.assertEqual(instructions("WORKDIR")[-1], "/")
        (volumes,) = instructions("VOLUME")
        paths = DEFAULTS["paths"]
        wanted = {f"/{path}" for path in (paths["state_dir"], paths["models_dir"], DEFAULTS["lake"]["url"])}
        self.assertEqual(set(yaml.safe_load(volumes)), wanted)

    def test_ports_are_the_defaults(self):
        (ports,) = instructions("EXPOSE")
        wanted = {port(DEFAULTS["trigger"]["webhook"]["listen"]), port(DEFAULTS["telemetry"]["metrics_listen"])}
        self.assertEqual(set(map(int, ports.split())), wanted)

    def test_the_compiler_is_the_one_that_the_program_asks_for(self):
        manifest = tomllib.loads((PROJECT / "Cargo.toml").read_text())
        self.assertIn(f"RUST={manifest['package']['rust-version']}", instructions("ARG"))

    def test_what_the_build_reads_is_sent_to_it(self):
        lines = (PACKAGING / "container/Containerfile.dockerignore").read_text().splitlines()
        sent = {line[1:] for line in lines if line.startswith("!")}
        read = {word for said in instructions("COPY") if "--from=" not in said for word in said.split()[:-1]}
        self.assertEqual(read, sent)
        for path in read:
            self.assertTrue((PROJECT / path).exists(), path)
        for file, text in sources().items():
            for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', text):
                path = (file.parent / included).resolve().relative_to(PROJECT)
                self.assertTrue(any(path.is_relative_to(part) for part in read), f"{file}: {path}")

    def test_nothing_to_build_with_is_in_the_image(self):
        last = (PACKAGING / "container/Containerfile").read_text().rpartition("\nFROM ")[2]
        for tool in ("cmake", "g++", "gcc", "make ", "cargo", "curl"):
            self.assertNotIn(tool, last)


@unittest.skipUnless(shutil.which("dpkg-deb"), "there is no dpkg-deb here")
class Debian(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        generated = cls.folder / "generated"
        generated.mkdir()
        for name in ("transcribe.bash", "_transcribe", "transcribe.fish", "transcribe.1", "transcribe-serve.1"):
            (generated / name).write_text(f"{name}\n")
        # Any small program: what is in the package is not run.
        cls.packages = [cls.build(shutil.which("true"), generated, cls.folder / place) for place in ("one", "two")]
        cls.root = cls.folder / "root"
        subprocess.run(["dpkg-deb", "--raw-extract", cls.packages[0], cls.root], check=True)

    @staticmethod
    def build(program, generated, place):
        environment = {**os.environ, "DEBFULLNAME": "Somebody", "DEBEMAIL": "somebody@example.com"}
        command = [PACKAGING / "debian/build.sh", program, generated, place]
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            raise AssertionError(said.stderr)
        return Path(said.stdout.strip())

    def test_the_same_files_give_the_same_package(self):
        one, two = (package.read_bytes() for package in self.packages)
        self.assertEqual(one, two)

    def test_everything_is_in_its_place(self):
        for path in ("usr/bin/transcribe", "usr/share/bash-completion/completions/transcribe",
                     "usr/share/zsh/vendor-completions/_transcribe",
                     "usr/share/fish/vendor_completions.d/transcribe.fish", "usr/share/doc/transcribe/copyright"):  # fmt: skip
            self.assertTrue((self.root / path).is_file(), path)
        units = PACKAGING / "systemd"
        for unit in [path for path in units.rglob("*") if path.is_file()]:
            installed = self.root / "usr/lib/systemd/system" / unit.relative_to(units)
            self.assertEqual(installed.read_text(), unit.read_text())
        for page in ("transcribe.1", "transcribe-serve.1"):
            with gzip.open(self.root / f"usr/share/man/man1/{page}.gz", "rt") as text:
                self.assertEqual(text.read(), f"{page}\n")
        self.assertEqual((self.root / "etc/transcribe/credentials").stat().st_mode & 0o777, 0o700)

    def test_the_configuration_changes_nothing_and_is_the_owner_s_to_change(self):
        self.assertEqual((self.root / "DEBIAN/conffiles").read_text(), "/etc/transcribe/pipeline.toml\n")
        path = self.root / "etc/transcribe/pipeline.toml"
        # Sections, and nothing in them.
        said = tomllib.loads(path.read_text())
        self.assertEqual([keys for keys in said.values() if not all(value == {} for value in keys.values())], [])
        told = run("config", "show", "--config", str(path))
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertNotIn(str(path), told.stdout, "a key is set")
        # Taking every # away gives the defaults again.
        whole = re.sub(r"^#(?=[a-z_0-9]+ = )", "", path.read_text(), flags=re.MULTILINE)
        self.assertEqual(tomllib.loads(whole), DEFAULTS)

    def test_scripts_are_named_as_dpkg_runs_them(self):
        for script in ("postinst", "prerm", "postrm"):
            self.assertTrue(os.access(self.root / "DEBIAN" / script, os.X_OK), script)
            subprocess.run(["sh", "-n", self.root / "DEBIAN" / script], check=True)


class BillOfMaterials(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        said = subprocess.run([PACKAGING / "sbom.py"], capture_output=True, text=True, check=False)
        if said.returncode != 0:
            raise AssertionError(said.stderr)
        cls.document = json.loads(said.stdout)
        cls.crates = {component["name"]: component for component in cls.document["components"]}

    def test_it_names_what_is_linked_and_nothing_of_the_tests(self):
        manifest = tomllib.loads((PROJECT / "Cargo.toml").read_text())
        wanted = {name for name, said in manifest["dependencies"].items() if isinstance(said, str) or "optional" not in said}
        self.assertLessEqual(wanted, set(self.crates))
        self.assertNotIn("divan", self.crates)
        self.assertIn("whisper.cpp", [part["name"] for part in self.crates["whisper-rs-sys"]["components"]])

    def test_each_has_a_licence_and_each_of_a_registry_a_checksum(self):
        for component in self.document["components"]:
            self.assertTrue(component["licenses"], component["name"])
            self.assertEqual("purl" in component, "hashes" in component, component["name"])

    def test_each_that_is_needed_is_named(self):
        # Some crates are there in two versions.
        references = {component["bom-ref"] for component in self.document["components"] if "bom-ref" in component}
        references.add(self.document["metadata"]["component"]["bom-ref"])
        for dependency in self.document["dependencies"]:
            self.assertLessEqual({dependency["ref"], *dependency["dependsOn"]}, references)


@unittest.skipUnless(platform.machine() == "x86_64", "these are instructions of x86-64")
class Instructions(unittest.TestCase):
    """packaging/dist/instructions.py, on programs that hold what it must find."""

    def judged(self, level, source, *flags):
        """What it says of a program, and its exit code."""
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program"
            build = ["cc", "-x", "c", "-O1", "-o", program, *flags, "-"]
            subprocess.run(build, input=source, text=True, check=True)
            script = PACKAGING / "dist" / "instructions.py"
            answer = subprocess.run([script, level, program], capture_output=True, text=True, check=False)
            return answer.returncode, answer.stdout

    @staticmethod
    def program(*functions):
        """Multiplies sixteen numbers in each of the functions, with the instructions that stand behind its name."""
        texts = [
            f'__attribute__((noinline, target("{target}"))) void {name}(float *numbers) {{'
            "  for (int i = 0; i < 16; i++) numbers[i] *= 2.5f; }"
            for name, target in functions
        ]
        calls = " ".join(f"{name}(numbers);" for name, _ in functions)
        main = f"int main(int count, char **words) {{ float numbers[16] = {{count}}; {calls} return numbers[3] > 1; }}"
        return "\n".join([*texts, main])

    def test_what_every_processor_has_is_fine(self):
        self.assertEqual(self.judged("v2", self.program(("plain", "sse4.2")))[0], 0)

    def test_a_function_that_nobody_asks_about_is_found_by_name(self):
        code, said = self.judged("v2", self.program(("plain", "sse4.2"), ("hidden", "avx")))
        self.assertEqual(code, 1)
        self.assertIn("hidden: v", said)
        self.assertNotIn("plain", said)

    def test_one_that_is_known_to_be_asked_about_is_fine(self):
        self.assertEqual(self.judged("v2", self.program(("ZSTD_encodeSequences_bmi2", "avx2")))[0], 0)

    def test_v3_may_do_more_and_not_everything(self):
        self.assertEqual(self.judged("v3", self.program(("plain", "avx2")))[0], 0)
        code, said = self.judged("v3", self.program(("wide", "avx512f,avx512vl,prefer-vector-width=512")), "-O3")
        self.assertEqual((code, "wide" in said), (1, True), said)

    def test_nothing_before_the_program_looks_at_the_processor_may_need_it(self):
        # Compilers call what initialises C++ so.
        code, said = self.judged("v3", self.program(("_GLOBAL__sub_I_words", "avx2")))
        self.assertEqual((code, "_GLOBAL__sub_I_words" in said), (1, True), said)


EMULATOR = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")


@unittest.skipUnless(platform.machine() == "x86_64" and EMULATOR, "qemu-user is not here")
class Processor(unittest.TestCase):
    def test_a_program_for_a_newer_one_says_what_it_lacks(self):
        # Of 2006: it lacks what any build of whisper.cpp uses.
        command = [EMULATOR, "-cpu", "core2duo", PROGRAM, "--version"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((answer.returncode, answer.stdout), (3, ""), answer.stderr)
        self.assertRegex(answer.stderr, r"^error: this program was built for processors with .*sse4\.2.*\nhint: ")


if __name__ == "__main__":
    unittest.main()
