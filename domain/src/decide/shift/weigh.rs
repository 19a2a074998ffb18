//! One turn of a shift: the record, what is live of it, and the shift itself, all or nothing.

use crate::command::{Actor, DraftSeed};
use crate::decide::draft::Drafting;
use crate::decide::freeze::freeze_reweighed;
use crate::decide::manifest::move_manifest;
use crate::decide::publish::{Activated, Edit, Publication, replace};
use crate::decide::upstream::{nth_draft, users};
use crate::decide::{Context, Judgement, id_taken};
use crate::event::Event;
use crate::id::{RouteId, SnapshotId};
use crate::machine::Decision;
use crate::model::{Shift, ShiftState, SnapshotState, Target, Upstream};
use crate::outcome::Outcome;
use crate::rejection::Rejection;
use crate::rows::View;
use crate::schema::{ROUTES, SNAPSHOTS};
use crate::tree::Edits;

/// A shift that becomes another one.
pub(super) struct Turn {
    pub(super) before: Shift,
    pub(super) after: Shift,
    /// From this, the identifiers of drafts and snapshots are derived.
    pub(super) seed: DraftSeed,
}

/// What a turn does to one route.
struct Turned {
    events: Vec<Event>,
    /// What the manifest is to say of it, where it was published.
    edit: Option<Edit>,
}

/// Carries out a turn of a shift of `upstream`, in the name of `actor`.
pub(super) fn weigh<V: View + ?Sized>(
    context: &Context<'_, V>,
    actor: &Actor,
    mut upstream: Upstream,
    turn: Turn,
) -> Judgement {
    let weights = turn.after.weights();
    turn.after.weigh(&mut upstream.targets, weights);
    upstream.updated_at = Some(context.at);
    upstream.revision = context.revision;
    let mut events = vec![
        Event::UpstreamChanged(upstream.clone()),
        Event::ShiftChanged(turn.after.clone()),
    ];
    if turn.before.weights() != weights {
        let mut edits = Edits::new();
        let routes = users(context, &upstream.environment_id, &upstream.id);
        for (route, nth) in routes.zip(0..) {
            let turned = turn.route(context, actor, &upstream, &route, nth)?;
            events.extend(turned.events);
            edits.extend(turned.edit);
        }
        if !edits.is_empty() {
            events.extend(move_manifest(context, &actor.environment_id, edits)?);
        }
    }
    Ok(Decision {
        events,
        outcome: Outcome::ShiftedUpstream(upstream, turn.after),
    })
}

impl Turn {
    /// The route gets a new draft, and where it serves by the weights so far, a snapshot with others.
    fn route<V: View + ?Sized>(
        &self,
        context: &Context<'_, V>,
        actor: &Actor,
        upstream: &Upstream,
        id: &RouteId,
        nth: u64,
    ) -> Result<Turned, Rejection> {
        let environment = &upstream.environment_id;
        let [draft_id, snapshot_id] = [0, 1].map(|half| nth_draft(self.seed, nth * 2 + half));
        let mut drafting = Drafting::of(context, environment, id)?;
        drafting.upstream_changed(upstream);
        let edit = self.publish(context, actor, &mut drafting, (id, snapshot_id))?;
        drafting.renamed(&draft_id);
        let (events, _) = drafting.finish();
        Ok(Turned { events, edit })
    }

    fn publish<V: View + ?Sized>(
        &self,
        context: &Context<'_, V>,
        actor: &Actor,
        drafting: &mut Drafting<'_, '_, V>,
        (id, snapshot_id): (&RouteId, SnapshotId),
    ) -> Result<Option<Edit>, Rejection> {
        let environment = &self.after.environment_id;
        let route = ROUTES.get(context.view, (environment, id));
        let route = route.ok_or_else(|| context.broken(&format!("{id} is used but not there")))?;
        let upstream = &self.after.upstream_id;
        let reweigh = |targets: &[Target]| self.reweighed(targets);
        let Some(frozen) = freeze_reweighed(context, &route, upstream, reweigh)? else {
            return Ok(None);
        };
        if SNAPSHOTS.has(context.view, (environment, &snapshot_id)) {
            return Err(id_taken(&snapshot_id));
        }
        for (upstream, content) in frozen.upstreams {
            drafting.upstream_published(&upstream, content);
        }
        let publication = Publication {
            snapshot_id,
            version: drafting.draft.next_version,
            content: frozen.content,
            head: frozen.head,
            chunks: frozen.chunks,
            source: None,
            comment: Some(self.comment()),
            replaced: SnapshotState::Superseded,
        };
        let after = route.clone();
        let Activated { edit, .. } = replace(context, actor, drafting, &route, after, publication)?;
        Ok(Some(edit))
    }

    /// What is live, with the new weights; nothing where it does not have those so far.
    fn reweighed(&self, live: &[Target]) -> Option<Vec<Target>> {
        if self.before.weights_in(live) != Some(self.before.weights()) {
            return None;
        }
        let mut targets = live.to_vec();
        self.after.weigh(&mut targets, self.after.weights());
        Some(targets)
    }

    fn comment(&self) -> String {
        let Shift {
            upstream_id,
            from,
            to,
            taken,
            steps,
            ..
        } = &self.after;
        let what = match self.after.state {
            ShiftState::Running => format!("Step {taken} of {steps}"),
            _ => "Takes back what was shifted".to_owned(),
        };
        format!("{what}: {upstream_id}, {from} to {to}.")
    }
}
