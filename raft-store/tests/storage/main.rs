//! A node's storage as consensus uses it: on both engines, through crashes, faults and damage.
//! openraft's own suite for storage is among it.

mod admission;
mod checkpoints;
mod commits;
mod crashes;
mod damage;
mod faults;
mod hashes;
mod raft;
mod runtime;
mod succession;
mod suite;
mod support;
