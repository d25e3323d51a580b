//! The vocabulary of Weir: names, offsets, events, transactions. No I/O; depends on nothing of ours.
//!
//! Everything that crosses a seam (function → runtime → log) is spelled in these types, so that the
//! seams agree on what a topic, a stamp or a transaction is. The words are those of `docs/glossary.md`.
#![forbid(unsafe_code)]

mod cause;
mod event;
mod hex;
mod ids;
mod names;
mod partitioner;
mod place;
mod position;
mod records;
mod state;
#[cfg(feature = "test-support")]
pub mod testing;
mod trace;
mod transaction;

pub use cause::{Cause, CauseError, Source, header};
pub use event::{EventError, NewEvent, event_from_json, event_to_json, write_json_string};
pub use hex::Hex;
pub use ids::{At, CatalogVersion, Epoch, InvocationId, Millis, Offset, Stamp, TopicId, TxnId, WriterId};
pub use names::{AppName, FunctionName, GroupName, InvalidName, TableName, TopicName};
pub use partitioner::{Partitioner, murmur2};
pub use place::{InvalidPlace, Place};
pub use position::{InvalidPosition, Position, parse_duration};
pub use records::{Headers, Meta, Record, Records, RecordsBuilder, Span};
pub use state::{Digest, DigestBuilder, ScanPage, StateKey, StateRange, Versioned, counter};
pub use trace::TraceContext;
pub use transaction::{Advance, Fence, Op, Read, Receipt, Transaction, Write};
