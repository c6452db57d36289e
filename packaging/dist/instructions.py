#!/usr/bin/env python3
"""Disassembles a program and says which functions need more of a processor than it was promised to need:

    packaging/dist/instructions.py v2|v3 PROGRAM

The levels are those of the x86-64 psABI. A function may hold other instructions when it is called only after the processor
was asked for them; those are named in DISPATCHED, with who asks. 0: there are no others. 1: there are, they are printed.
Needs objdump, and a program that was not stripped.
"""

import re
import subprocess
import sys
from collections import Counter

# The first level at which an instruction is there; 9: in none, it is always asked for. `tzcnt` is a `bsf` for a processor that
# does not know it, and compilers write it as that.
LEVELS = (
    (9, re.compile(r"v?aes(enc|dec|imc|keygen)|v?pclmul|sha(1|256)|v?gf2p8|ad[co]x\b|rdrand|rdseed|tdp|tile|(ld|st)tilecfg|vpdp")),
    (4, re.compile(r"k(add|andn?|mov|not|or|ortest|shift[lr]|test|unpck\w\w|xn?or)[bwdq]\b")),
    (3, re.compile(r"v(?!er[rw]\b|mcall|mmcall)|(andn|bextr|blsi|blsmsk|blsr|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|lzcnt|movbe)\w?\b")),
)  # fmt: skip
# In 64-bit mode every instruction whose first byte, after prefixes, is 62 is one of AVX-512 (EVEX).
EVEX = re.compile(r"(?:(?:2e|36|3e|26|64|65|66|67|f2|f3) )*62 ")
# The instructions of LEVELS begin with one of these; a first and fast look.
SUSPECT = re.compile(
    r"^ +[0-9a-f]+:\t((?:[0-9a-f]{2} )+) *\t(?:(?:data16|addr32|rep|repz|repnz|lock|notrack|bnd|[cdefgs]s|\{\w+\}) )*"
    r"((?:v|k|aes|pclmul|sha|gf2|a[dn]|rd|t[di]|ld|st|b[elz]|mulx|p[de]|r[do]|s[ah]|lz|movbe).*)"
)
FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")

# Who asks the processor before each of these is called; the names are those of the functions that hold the instructions.
DISPATCHED = {
    "our own engine, when it loads a model": r"transcribe::stt::native::kernels::avx(2|512)",
    "std": r"std_detect::|core::core_arch::",
    "memchr, aho-corasick, httparse": r"memchr::arch::x86_64|aho_corasick::packed::teddy|httparse::simd::(avx2|sse42)",
    "rustfft": r"rustfft::avx",
    "rand": r"rand_chacha::guts::\w+::impl_avx|chacha20::backends::avx2",
    "sha1, sha2": r"sha1::compress::x86_sha|sha2::sha(256|512)::x86",
    "curve25519-dalek": r"curve25519_dalek::(backend::vector::(avx2|avx512ifma|scalar_mul)|window::.*backend::vector::avx)",
    "crc": r"crc_fast::(arch|algorithm)::|crc32fast::specialized::pclmulqdq",
    "zstd": r"(ZSTD|HUF|FSE)_\w+_bmi2\b|HUF_decompress4X\d_usingDTable_internal_fast",
    "aws-lc, by the name of the instructions":
        r"aws_lc_[\d_]+_\w*(avx|aesni|aes_hw|clmul|shaext|_ni\b|montx|mulx|adx|rdrand|rdseed|ifma|block_data_order_hw)",
    "aws-lc, assembly of which there is another form": r"aws_lc_[\d_]+_"
        r"(beeu_mod_inverse|extract_multiplier_2x|bn_\w*x|bignum_|curve25519_|edwards25519_|p(256|384|521)_|sha3_keccak)",
    "aws-lc, inside of those": r"_aesni_|_*(bn_\w*x\w*|ecp_nistz256_\w*x)\b|ecp_nistz256_avx2_|mulx4x_internal"
        r"|(skip_)?iv_len_12_init_IV|chacha20_poly1305_\w+_avx2|L(mlk|mld|curve25519|edwards25519|p256|p384|p521|sha3)_",
}  # fmt: skip
# What runs before the program has looked at the processor: initialisers, and what it asks ggml.
BEFORE_MAIN = re.compile(r"_GLOBAL__sub_I_|__cxx_global_var_init|_init$|_start$|main$|ggml_cpu_has_")


def functions(program):
    """Each function that holds an instruction of LEVELS: its name, the highest level of one, and such an instruction."""
    command = ["objdump", "--disassemble", "--insn-width=15", "--demangle", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as disassembly:
        name, highest, has_looked = "", (0, ""), False
        for line in disassembly.stdout:
            if suspect := SUSPECT.match(line):
                text, has_looked = suspect[2], True
                level = next((level for level, pattern in LEVELS if pattern.match(text)), 0)
                if level == 3 and EVEX.match(suspect[1]):
                    level = 4
                highest = max(highest, (level, text), key=lambda found: found[0])
            elif function := FUNCTION.match(line):
                if function[1] == ".text":
                    sys.exit("it was stripped: nobody can say which function an instruction belongs to")
                if highest[0]:
                    yield name, *highest
                name, highest = function[1], (0, "")
        if highest[0]:
            yield name, *highest
    if disassembly.returncode or not has_looked:
        sys.exit("objdump could not read it, or it is not of x86-64")


def beyond(program, level):
    """The functions that need more than the level, and that nobody asks the processor about."""
    dispatched = re.compile("[<&]*(?:" + "|".join(DISPATCHED.values()) + ")")
    for name, needed, text in functions(program):
        if (needed > level and not dispatched.match(name)) or BEFORE_MAIN.match(name):
            yield name, text


def main(level, program):
    found = list(beyond(program, {"v2": 2, "v3": 3}[level]))
    for name, text in found:
        print(f"{name}: {' '.join(text.split())}")
    print(f"functions with instructions beyond x86-64-{level} that nobody asks about: {len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("v2", "v3"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
