//! The keys of the state database.

/// The last applied log id.
pub(super) const APPLIED: [u8; 2] = [0, b'a'];
/// The format version.
pub(super) const FORMAT: [u8; 2] = [0, b'f'];
/// The membership.
pub(super) const MEMBERSHIP: [u8; 2] = [0, b'm'];

const ROW: u8 = 1;

/// Where a row of the domain is kept.
pub(super) fn row(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.push(ROW);
    stored.extend_from_slice(key);
    stored
}

/// The domain's key of a row.
pub(super) fn domain_key(mut stored: Vec<u8>) -> Vec<u8> {
    stored.remove(0);
    stored
}
