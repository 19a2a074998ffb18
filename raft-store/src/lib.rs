//! The openraft log store and state machine over a small storage-engine port.
