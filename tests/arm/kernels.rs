//! The kernels as the program has them, without the rest of it.

#![expect(dead_code, unused_imports, reason = "the engine uses them, and it is not here")]

#[path = "../../src/config/isa.rs"]
mod isa;
#[path = "../../src/stt/native/kernels/mod.rs"]
mod kernels;

mod config {
    pub(crate) use super::isa::Isa;
}
