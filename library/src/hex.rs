//! `hex`: bytes as hexadecimal digits, and back.

use crate::base64::{decode, encode};
use crate::registry::Registry;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("encode", |call, s| encode(call, s, HEXLOWER))?;
    to.add_later("decode", |call, s| decode(call, s, |s| HEXLOWER_PERMISSIVE.decode(s)))
}
