//! Tests of delivery's parts: signatures against the document's own verifier, addresses by table.

mod address;
mod signature;
