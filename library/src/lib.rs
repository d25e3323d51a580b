//! Weir's Lua libraries: what functions get by `require` that needs nothing of the log.
//!
//! One file per module; the runtime puts them into a VM and lends them what they need of an invocation.
#![forbid(unsafe_code)]
