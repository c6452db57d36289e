//! Whether this machine's processor has the instructions that whisper.cpp was built with. One that is missing ends the
//! process wherever it stands, without a word, so nothing of whisper.cpp may run before this was asked.

/// The program was built for newer processors than this machine's.
#[derive(Debug, thiserror::Error)]
#[error("this program was built for processors with {}, which this one does not have", .missing.join(", "))]
pub struct ProcessorTooOld {
    missing: Vec<&'static str>,
}

/// What whisper.cpp was built with; `build.rs` knows.
pub fn built_with() -> impl Iterator<Item = &'static str> {
    env!("PROCESSOR_INSTRUCTIONS").split(',').filter(|name| !name.is_empty())
}

/// # Errors
/// [`ProcessorTooOld`], with what is missing.
pub fn check() -> Result<(), ProcessorTooOld> {
    #[cfg(target_arch = "x86_64")]
    let here = super::instructions::here();
    // Other processors all have what compilers use for them: nothing was named.
    #[cfg(not(target_arch = "x86_64"))]
    let here: Vec<&str> = Vec::new();
    let missing: Vec<&str> = built_with().filter(|name| !here.contains(name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(ProcessorTooOld { missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_ggml_says_it_was_built_with() {
        let said = whisper_rs::print_system_info();
        let built = built_with().collect::<Vec<_>>();
        for (word, name) in [
            ("SSE3", "sse3"),
            ("AVX", "avx"),
            ("AVX2", "avx2"),
            ("FMA", "fma"),
            ("F16C", "f16c"),
            ("BMI2", "bmi2"),
            ("AVX512", "avx512f"),
        ] {
            let has_word = said.split(['|', ':']).any(|part| part.trim() == format!("{word} = 1"));
            assert_eq!(has_word, built.contains(&name), "{name}: {said}");
        }
    }

    #[test]
    fn the_machine_that_built_it_can_run_it() {
        check().unwrap();
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = ProcessorTooOld { missing: vec!["avx2", "fma"] };
        assert_eq!(
            error.to_string(),
            "this program was built for processors with avx2, fma, which this one does not have"
        );
    }
}
