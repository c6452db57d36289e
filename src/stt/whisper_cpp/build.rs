//! Tells the program which instructions whisper.cpp was built with, in `PROCESSOR_INSTRUCTIONS`: a C++ library does not ask
//! the processor before it uses them. What decides is the environment, as for ggml's own `CMakeLists.txt`.

#[cfg(target_arch = "x86_64")]
#[path = "instructions.rs"]
mod instructions;
#[cfg(not(target_arch = "x86_64"))]
mod instructions {
    pub(crate) fn here() -> Vec<&'static str> {
        Vec::new()
    }
}

/// ggml's options for x86-64, whether each is on when ggml is not built for one machine, and what the compiler may then use.
const OPTIONS: [(&str, bool, &[&str]); 11] = [
    ("GGML_SSE42", true, &["sse3", "ssse3", "sse4.1", "sse4.2"]),
    ("GGML_AVX", true, &["avx"]),
    ("GGML_AVX2", true, &["avx2"]),
    ("GGML_FMA", true, &["fma"]),
    ("GGML_F16C", true, &["f16c"]),
    ("GGML_BMI2", true, &["bmi2"]),
    ("GGML_AVX_VNNI", false, &["avxvnni"]),
    ("GGML_AVX512", false, &["avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw"]),
    ("GGML_AVX512_VBMI", false, &["avx512vbmi"]),
    ("GGML_AVX512_VNNI", false, &["avx512vnni"]),
    ("GGML_AVX512_BF16", false, &["avx512bf16"]),
];

fn main() {
    for file in ["build.rs", "instructions.rs"] {
        println!("cargo:rerun-if-changed=src/stt/whisper_cpp/{file}");
    }
    let is_x86 = variable("CARGO_CFG_TARGET_ARCH").is_some_and(|architecture| architecture == "x86_64");
    let used = if is_x86 { instructions_used() } else { Vec::new() };
    println!("cargo:rustc-env=PROCESSOR_INSTRUCTIONS={}", used.join(","));
}

fn instructions_used() -> Vec<&'static str> {
    let is_native_by_default = variable("SOURCE_DATE_EPOCH").is_none();
    if is_on("GGML_NATIVE", is_native_by_default) {
        // `-march=native`: everything that the machine has that builds.
        return instructions::here();
    }
    let named = OPTIONS.iter().filter(|(option, default, _)| is_on(option, *default && is_native_by_default));
    named.flat_map(|(_, _, instructions)| *instructions).copied().collect()
}

/// As CMake understands it.
fn is_on(option: &str, default: bool) -> bool {
    let off = ["", "0", "OFF", "NO", "FALSE", "N", "IGNORE", "NOTFOUND"];
    variable(option).map_or(default, |value| !off.contains(&value.to_uppercase().as_str()))
}

fn variable(name: &str) -> Option<String> {
    println!("cargo:rerun-if-env-changed={name}");
    std::env::var(name).ok()
}
