//! Batches of events in one arena: one buffer and one index, however many events.
//!
//! [`Records`] serves append, read, relay and replay. Cloning is two reference counts; keys, values and
//! headers are slices of the buffer.

use crate::{At, Millis, Offset};
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// A range of the buffer of its [`Records`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Span {
    start: u32,
    end: u32,
}

/// What the log knows of one event, beside its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// Topic and partition.
    pub at: At,
    /// Set by the log at commit; zero in a batch that has not been committed.
    pub offset: Offset,
    /// Set by the log at commit: never below the partition's last.
    pub time: Millis,
    key: Option<Span>,
    value: Option<Span>,
    headers: Span,
}

/// Events in order. See the module's docs.
#[derive(Clone, Default, Debug)]
pub struct Records {
    buf: Bytes,
    index: Arc<[Meta]>,
}

/// One event of a [`Records`], borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Place and time.
    pub meta: &'a Meta,
    buf: &'a Bytes,
}

/// Fills a [`Records`]. At most 4 GiB of bytes fit.
#[derive(Default, Debug)]
pub struct RecordsBuilder {
    buf: BytesMut,
    index: Vec<Meta>,
}

impl Records {
    /// How many events.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The bytes that keys, values and headers take together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.index.iter().map(Meta::bytes).sum()
    }

    /// The events in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Record<'_>> + ExactSizeIterator {
        self.index.iter().map(|meta| Record { meta, buf: &self.buf })
    }

    /// The event at `index`, if there is one.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.index.get(index).map(|meta| Record { meta, buf: &self.buf })
    }

    /// The first `n` events, in the same buffer; all of them if there are no more.
    #[must_use]
    pub fn first(&self, n: usize) -> Self {
        if n >= self.len() {
            return self.clone();
        }
        Self { buf: self.buf.clone(), index: self.index[..n].into() }
    }

    /// The last event.
    #[must_use]
    pub fn last(&self) -> Option<Record<'_>> {
        self.index.last().map(|meta| Record { meta, buf: &self.buf })
    }
}

impl Meta {
    /// The bytes of key, value and headers.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let len = |s: Span| (s.end - s.start) as usize;
        self.key.map_or(0, len) + self.value.map_or(0, len) + len(self.headers)
    }
}

impl<'a> Record<'a> {
    /// The key; an empty key is not the same as none.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.meta.key.map(|s| self.slice(s))
    }

    /// The value; none is a tombstone.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.meta.value.map(|s| self.slice(s))
    }

    /// The key, sharing the buffer.
    #[must_use]
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.meta.key.map(|s| self.share(s))
    }

    /// The value, sharing the buffer.
    #[must_use]
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.meta.value.map(|s| self.share(s))
    }

    /// The headers in order; a name may come more than once.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers { rest: self.slice(self.meta.headers) }
    }

    /// The headers as the log stores them; give them to [`RecordsBuilder::push_encoded`].
    #[must_use]
    pub fn headers_encoded(&self) -> &'a [u8] {
        self.slice(self.meta.headers)
    }

    /// As [`Record::headers_encoded`], sharing the buffer.
    #[must_use]
    pub fn headers_bytes(&self) -> Bytes {
        self.share(self.meta.headers)
    }

    /// The last header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().filter(|(n, _)| *n == name).last().map(|(_, value)| value)
    }

    fn slice(&self, span: Span) -> &'a [u8] {
        &self.buf[span.start as usize..span.end as usize]
    }

    fn share(&self, span: Span) -> Bytes {
        self.buf.slice(span.start as usize..span.end as usize)
    }
}

/// Iterates over encoded headers: per header the name's length (u16, little endian), the name, the value's
/// length (u32), the value. Bytes that are not of this form end the iteration.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Reads headers that [`Record::headers_encoded`] gave.
    #[must_use]
    pub fn decode(encoded: &'a [u8]) -> Self {
        Self { rest: encoded }
    }

    /// Appends one header to `to`. Names past 65,535 bytes are cut there.
    pub fn encode(to: &mut impl BufMut, name: &str, value: &[u8]) {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        to.put_u16_le(u16::try_from(name.len()).unwrap_or(u16::MAX));
        to.put_slice(name);
        to.put_u32_le(u32::try_from(value.len()).unwrap_or(u32::MAX));
        to.put_slice(value);
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_len, rest) = self.rest.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_len)))?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
        self.rest = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

impl RecordsBuilder {
    /// A builder with room for `bytes` bytes.
    #[must_use]
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        Self { buf: BytesMut::with_capacity(bytes), index: Vec::with_capacity(events) }
    }

    /// Adds an event that has no offset yet.
    pub fn push<'h>(
        &mut self,
        at: At,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
    ) {
        let key = key.map(|k| self.put(k));
        let value = value.map(|v| self.put(v));
        let start = self.buf.len();
        for (name, value) in headers {
            Headers::encode(&mut self.buf, name, value);
        }
        let headers = self.span(start);
        self.index.push(Meta { at, offset: Offset::ZERO, time: Millis(0), key, value, headers });
    }

    /// Adds an event as a log read it: with its place, its time and its headers already encoded.
    pub fn push_encoded(
        &mut self,
        at: At,
        offset: Offset,
        time: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[u8],
    ) {
        let key = key.map(|k| self.put(k));
        let value = value.map(|v| self.put(v));
        let headers = self.put(headers);
        self.index.push(Meta { at, offset, time, key, value, headers });
    }

    /// How many events are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it has no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buf.len()
    }

    /// The finished batch.
    #[must_use]
    pub fn build(self) -> Records {
        Records { buf: self.buf.freeze(), index: self.index.into() }
    }

    fn put(&mut self, bytes: &[u8]) -> Span {
        let start = self.buf.len();
        self.buf.extend_from_slice(bytes);
        self.span(start)
    }

    fn span(&self, start: usize) -> Span {
        let end =
            |n| u32::try_from(n).expect("a batch is below 4 GiB: transactions are bounded far below it");
        Span { start: end(start), end: end(self.buf.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TopicId;
    use proptest::prelude::*;

    const AT: At = At { topic: TopicId(1), partition: 0 };

    #[test]
    fn an_empty_key_is_not_a_missing_one() {
        let mut builder = RecordsBuilder::default();
        builder.push(AT, Some(b""), None, []);
        builder.push(AT, None, Some(b""), []);
        let records = builder.build();
        let keys: Vec<_> = records.iter().map(|r| (r.key(), r.value())).collect();
        assert_eq!(keys, [(Some(&b""[..]), None), (None, Some(&b""[..]))]);
    }

    #[test]
    fn the_first_events_are_a_prefix() {
        let mut builder = RecordsBuilder::default();
        for key in [b"a", b"b", b"c"] {
            builder.push(AT, Some(key), None, []);
        }
        let records = builder.build();
        let keys = |n| records.first(n).iter().filter_map(|r| r.key_bytes()).collect::<Vec<_>>();
        assert_eq!(keys(0), [""; 0]);
        assert_eq!(keys(2), ["a", "b"]);
        assert_eq!(keys(9), ["a", "b", "c"]);
    }

    proptest! {
        #[test]
        fn headers_come_back_as_they_were_put(list in prop::collection::vec(("[a-z-]{0,20}", prop::collection::vec(any::<u8>(), 0..40)), 0..5)) {
            let mut builder = RecordsBuilder::default();
            builder.push(AT, None, None, list.iter().map(|(n, v)| (n.as_str(), v.as_slice())));
            let records = builder.build();
            let got: Vec<_> = records.get(0).expect("one event").headers().map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            prop_assert_eq!(got, list);
        }

        #[test]
        fn reading_any_bytes_as_headers_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Headers::decode(&bytes).count() <= bytes.len());
        }
    }
}
