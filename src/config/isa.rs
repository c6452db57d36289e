//! The instruction sets that our own engine computes with.

use serde::{Deserialize, Serialize};

/// An instruction set that our own engine has kernels for, the fastest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isa {
    /// Whatever the compiler takes for granted.
    Portable,
    /// 64-bit Arm.
    Neon,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 with VNNI.
    Avx512,
}

impl Isa {
    pub const ALL: [Self; 4] = [Self::Portable, Self::Neon, Self::Avx2, Self::Avx512];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}
