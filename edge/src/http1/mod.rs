//! What HTTP/1.1 is made of in either direction, as clients send it and as origins do: heads' fields, bodies,
//! and a buffer of what has come. Pure but for the buffer's reading; what a request is and what a response is
//! has its place in [`crate::proxy`] and [`crate::upstream`].
//!
//! It is strict: whatever two readers could understand differently is refused.

mod chunked;
mod decoder;
mod fields;
mod input;
mod names;

pub(crate) use decoder::{Decoder, Piece, Unchunked};
pub(crate) use fields::{
    CHUNK_END, FIELDS_MAX, LAST_CHUNK, announced, digits, ends_chunked, has_token, read_field,
    version, write_chunk_size, write_field, write_number, write_trailers,
};
pub(crate) use input::{BUFFER_BYTES_MAX, Input};
