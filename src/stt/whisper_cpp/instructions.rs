//! What an x86-64 processor may know beyond what all of them do, as far as a C++ compiler uses it; also for `build.rs`.

macro_rules! instructions {
    ($($name:tt)*) => {
        /// Those that the processor has on which this runs, by the names of [`std::is_x86_feature_detected`].
        pub(crate) fn here() -> Vec<&'static str> {
            let known = [$(($name, std::is_x86_feature_detected!($name))),*];
            known.into_iter().filter(|(_, is_here)| *is_here).map(|(name, _)| name).collect()
        }
    };
}

instructions! {
    "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "movbe" "gfni"
    "avxvnni" "avx512f" "avx512cd" "avx512vl" "avx512dq" "avx512bw" "avx512ifma" "avx512vbmi"
    "avx512vbmi2" "avx512vnni" "avx512bitalg" "avx512vpopcntdq" "avx512bf16" "avx512fp16"
}
