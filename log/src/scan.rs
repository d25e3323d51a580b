//! What the backends' scans have in common.

use bytes::{BufMut, Bytes, BytesMut};

/// The first key after `key`, in byte order: where the page after the one that ends with `key` begins.
pub(crate) fn key_after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
