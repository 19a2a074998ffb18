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

/// From where, and until where, all rows of the domain are kept.
pub(super) const ROWS: ([u8; 1], [u8; 2]) = ([ROW], [ROW, 0xff]);

/// The domain's part of a stored key.
pub(super) fn domain_part(stored: &[u8]) -> &[u8] {
    stored.get(1..).unwrap_or_default()
}

/// The domain's key of a row.
pub(super) fn domain_key(mut stored: Vec<u8>) -> Vec<u8> {
    stored.remove(0);
    stored
}
