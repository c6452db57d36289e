//! Places where a test can end the process, as a kill would, or put another value in place of the usual one.
//!
//! They exist in what `cargo test`, the examples and the benches build, where the `failpoints` feature of the crate
//! `fail` is on; elsewhere they compile to nothing. `FAILPOINTS="batch-recorded=2*off->return"` ends the process when it
//! passes `batch-recorded` for the third time.

/// Ends the process here when a test asked for it: no destructor runs, nothing is flushed.
pub(crate) fn pass(name: &str) {
    let _only_where_failpoints_are_built_in = name;
    fail::fail_point!(name, |_| std::process::abort());
}

/// The value that a test gave, as in `FAILPOINTS="engine-silence-ms=return(300)"`.
pub(crate) fn value(name: &str) -> Option<String> {
    let _only_where_failpoints_are_built_in = name;
    fail::fail_point!(name, |value| value);
    None
}
