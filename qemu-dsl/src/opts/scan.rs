/// Whether one of `bytes` is such a byte. All of them are looked at, for a loop without a way out looks at many at a time:
/// nearly always there is none.
pub(crate) fn any_byte(bytes: &[u8], is_it: impl Fn(u8) -> bool) -> bool {
    let mut found = false;
    for &byte in bytes {
        found |= is_it(byte);
    }
    found
}
