//! What the operating system has to give: hosts on a network, disks, and their faults. All of it is
//! named after this tool, so that whatever an earlier run left can be told and taken away.

pub mod disks;
pub mod lock;
pub mod namespaces;
pub mod tools;
pub mod tracer;

use std::path::Path;

use anyhow::Result;

/// Takes away what an earlier run left, or this one: processes, namespaces, mounts, loop devices.
/// Files below `folder` stay.
///
/// # Errors
/// When something does not go.
pub fn clear(folder: &Path) -> Result<()> {
    namespaces::clear()?;
    disks::clear(folder)
}
