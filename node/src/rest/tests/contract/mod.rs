//! Promises of the contract, `docs/contract.md`, that are nobody's in particular: what all operations
//! have in common, and what of a resource no other test is about. By section of the contract.

mod conventions;
mod resources;
