//! Moves an environment's manifest to its next version, and lets go of the root that is too old
//! to be kept.

use super::Context;
use crate::event::Event;
use crate::id::EnvironmentId;
use crate::model::{Epoch, Manifest, ManifestVersion};
use crate::query::{ViewChunks, epoch, manifest};
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{MANIFEST_ROOTS, MANIFEST_ROOTS_KEPT};
use crate::tree::{self, Edits, TreeKind};

/// The version that an environment's manifest has when this entry moves it.
pub(super) fn next_version<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
) -> ManifestVersion {
    ManifestVersion(manifest(context.view, environment).version.0 + 1)
}

/// The manifest as it is, in another epoch: the next version, of the same root.
pub(super) fn move_to_epoch<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    epoch: Epoch,
) -> Result<Vec<Event>, Rejection> {
    moved(context, environment, Edits::new(), epoch)
}

/// Applies edits to the tree of routes. An edited route's head must be kept by an earlier event, and
/// an entry may move a manifest once.
pub(super) fn move_manifest<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    edits: Edits,
) -> Result<Vec<Event>, Rejection> {
    moved(context, environment, edits, epoch(context.view))
}

fn moved<V: View + ?Sized>(
    context: &Context<'_, V>,
    environment: &EnvironmentId,
    edits: Edits,
    epoch: Epoch,
) -> Result<Vec<Event>, Rejection> {
    let current = manifest(context.view, environment);
    let edited = tree::edit(
        &ViewChunks(context.view),
        TreeKind::Routes,
        current.root,
        &edits,
    )
    .map_err(|error| context.broken(&error))?;
    let version = ManifestVersion(current.version.0 + 1);
    let moved = Manifest {
        version,
        root: edited.root,
        updated_at: context.at,
        revision: context.revision,
        epoch,
        previous: current.link(),
        environment_id: current.environment_id,
    };
    let oldest = version
        .0
        .checked_sub(MANIFEST_ROOTS_KEPT)
        .map(ManifestVersion);
    let dropped = oldest.and_then(|version| {
        let root = MANIFEST_ROOTS.get(context.view, (environment, &version))?;
        Some((version, root))
    });
    let mut events = vec![
        Event::TreeKept {
            root: edited.root,
            chunks: edited.chunks,
        },
        Event::ManifestMoved {
            manifest: moved,
            dropped: dropped.map(|(version, _)| version),
        },
    ];
    if let Some((_, root)) = dropped {
        events.push(Event::TreeDropped { root });
    }
    Ok(events)
}
