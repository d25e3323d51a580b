//! A body as it comes in: unpacked if it is packed, and never larger than allowed.

use super::HttpError;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use std::io::{self, Write};

/// Takes a body piece by piece. What is packed is unpacked into no more than the limit: a few bytes may stand for
/// gigabytes.
pub(super) enum Unpacking {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

/// Bytes up to a limit.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    is_over: bool,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.len() > self.limit - self.bytes.len() {
            self.is_over = true;
            return Err(io::Error::other("past the limit"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unpacking {
    pub(super) fn new(is_gzip: bool, limit: usize) -> Self {
        let bounded = Bounded { bytes: Vec::new(), limit, is_over: false };
        if is_gzip { Self::Gzip(Box::new(MultiGzDecoder::new(bounded))) } else { Self::Plain(bounded) }
    }

    pub(super) fn take(&mut self, piece: &[u8], host: &str) -> Result<(), HttpError> {
        match self {
            Self::Plain(bounded) => bounded.write_all(piece).map_err(|_| HttpError::Body(bounded.limit)),
            Self::Gzip(decoder) => {
                let written = decoder.write_all(piece);
                written.map_err(|error| unpack_error(&error, decoder.get_ref(), host))
            }
        }
    }

    /// The whole of it.
    pub(super) fn finish(self, host: &str) -> Result<Bytes, HttpError> {
        match self {
            Self::Plain(bounded) => Ok(bounded.bytes.into()),
            Self::Gzip(mut decoder) => {
                let ended = decoder.try_finish();
                ended.map_err(|error| unpack_error(&error, decoder.get_ref(), host))?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes).into())
            }
        }
    }
}

fn unpack_error(error: &io::Error, bounded: &Bounded, host: &str) -> HttpError {
    match bounded.is_over {
        true => HttpError::Unpacked(bounded.limit),
        false => HttpError::Broken(format!("the answer of {host} cannot be unpacked: {error}")),
    }
}
