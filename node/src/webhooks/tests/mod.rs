//! Tests of delivery's parts: signatures against the document's own verifier.

mod signature;
