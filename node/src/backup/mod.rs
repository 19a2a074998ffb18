//! Backups: all that a cluster has at one revision, as files that a stranger can neither read nor change
//! unnoticed, and clusters that are made of them.
//!
//! ```text
//! source      a node tells its rows, as they are at one revision, and signs what it told
//! rows        rows as bytes, and bytes as rows
//! statement   what is signed of a backup
//! manifest    what is in a backup's folder, and what it is of
//! seal        encryption
//! writer      from the bytes of a source to files
//! reader      from files to bytes, verified on the way
//! folder      the files themselves
//! create      asks a node for one; restore: makes the disk of a new cluster of one; recover: of a survivor
//! schedule    whoever leads makes one now and then
//! ```
//!
//! A backup is of rows and not of a database's files: it can be verified without a database, is restored by
//! any release that reads the rows, and its hash is the one by which replicas compare themselves
//! ([`domain::machine::state_hash`]).

pub mod create;
mod error;
mod folder;
mod manifest;
pub mod reader;
pub mod recover;
pub mod restore;
mod rows;
pub(crate) mod schedule;
pub mod seal;
pub(crate) mod source;
mod statement;
#[cfg(test)]
mod tests;
mod writer;

pub use error::BackupError;
pub use manifest::{MANIFEST_FILE, Manifest};
pub use reader::{Backup, Essence};
pub use seal::BackupKey;
pub use statement::{SignedStatement, Statement};
pub use writer::Protection;
