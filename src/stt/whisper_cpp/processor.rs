//! Whether this machine's processor has the instructions that whisper.cpp was built with. One that is missing ends the
//! process wherever it stands, without a word, so nothing else of whisper.cpp may run before this was asked.

use std::ffi::c_int;

/// The program was built for newer processors than this machine's.
#[derive(Debug, thiserror::Error)]
#[error("this program was built for processors with {}, which this one does not have", .missing.join(", "))]
pub struct ProcessorTooOld {
    missing: Vec<&'static str>,
}

/// # Errors
/// [`ProcessorTooOld`], with what is missing.
pub fn check() -> Result<(), ProcessorTooOld> {
    let missing = lacking(used());
    if missing.is_empty() { Ok(()) } else { Err(ProcessorTooOld { missing }) }
}

fn lacking(used: impl IntoIterator<Item = Used>) -> Vec<&'static str> {
    used.into_iter().filter(|(is_used, _, is_here)| *is_used != 0 && !is_here).map(|(_, name, _)| name).collect()
}

/// Whether the library was built with some instructions, their name, and whether the processor has them.
type Used = (c_int, &'static str, bool);

/// What ggml knows of itself: a constant for each, which the compiler put there.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "C functions that take nothing and return a constant")]
fn used() -> [Used; 17] {
    use std::is_x86_feature_detected as here;

    use whisper_rs_sys as ggml;
    // SAFETY: as above.
    unsafe {
        [
            (ggml::ggml_cpu_has_sse3(), "sse3", here!("sse3")),
            (ggml::ggml_cpu_has_ssse3(), "ssse3", here!("ssse3")),
            // ggml has one option for both.
            (ggml::ggml_cpu_has_ssse3(), "sse4.2", here!("sse4.2")),
            (ggml::ggml_cpu_has_avx(), "avx", here!("avx")),
            (ggml::ggml_cpu_has_avx2(), "avx2", here!("avx2")),
            (ggml::ggml_cpu_has_fma(), "fma", here!("fma")),
            (ggml::ggml_cpu_has_f16c(), "f16c", here!("f16c")),
            (ggml::ggml_cpu_has_bmi2(), "bmi2", here!("bmi2")),
            (ggml::ggml_cpu_has_avx_vnni(), "avxvnni", here!("avxvnni")),
            (ggml::ggml_cpu_has_avx512(), "avx512f", here!("avx512f")),
            (ggml::ggml_cpu_has_avx512(), "avx512cd", here!("avx512cd")),
            (ggml::ggml_cpu_has_avx512(), "avx512bw", here!("avx512bw")),
            (ggml::ggml_cpu_has_avx512(), "avx512dq", here!("avx512dq")),
            (ggml::ggml_cpu_has_avx512(), "avx512vl", here!("avx512vl")),
            (ggml::ggml_cpu_has_avx512_vbmi(), "avx512vbmi", here!("avx512vbmi")),
            (ggml::ggml_cpu_has_avx512_vnni(), "avx512vnni", here!("avx512vnni")),
            (ggml::ggml_cpu_has_avx512_bf16(), "avx512bf16", here!("avx512bf16")),
        ]
    }
}

/// What ggml knows of itself: a constant for each, which the compiler put there.
#[cfg(target_arch = "aarch64")]
#[expect(unsafe_code, reason = "C functions that take nothing and return a constant")]
fn used() -> [Used; 4] {
    use std::arch::is_aarch64_feature_detected as here;

    use whisper_rs_sys as ggml;
    // SAFETY: as above.
    unsafe {
        [
            (ggml::ggml_cpu_has_dotprod(), "dotprod", here!("dotprod")),
            (ggml::ggml_cpu_has_matmul_int8(), "i8mm", here!("i8mm")),
            (ggml::ggml_cpu_has_fp16_va(), "fp16", here!("fp16")),
            (ggml::ggml_cpu_has_sve(), "sve", here!("sve")),
        ]
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn used() -> [Used; 0] {
    []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_that_built_it_can_run_it() {
        check().unwrap();
    }

    #[test]
    fn what_is_used_and_not_here_is_named() {
        let missing = lacking([(1, "avx", true), (1, "avx2", false), (0, "avx512f", false), (1, "fma", false)]);
        assert_eq!(
            ProcessorTooOld { missing }.to_string(),
            "this program was built for processors with avx2, fma, which this one does not have"
        );
    }
}
