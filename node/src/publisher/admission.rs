//! Who is let in: an edge whose certificate carries the name that it says and an environment that exists,
//! and that the cluster has not turned away. What it gets follows from that certificate; what it says of
//! itself can only agree with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::id::EnvironmentId;
use domain::model::EdgePublicKey;
use domain::query;
use edge_protocol::{Hello, Offer, PROTOCOL, Refusal, Welcome};
use platform::authority::EdgeKey;
use platform::tls::EdgeCertificate;

use super::feed::{EdgeChanges, Feeds, Manifests};
use crate::control_plane::ControlPlane;
use crate::signing::Signer;

/// Where the cluster has put an edge: its region and labels.
pub(super) type Put = (String, BTreeMap<String, String>);

/// An edge that is let in.
pub(super) struct Admitted {
    pub(super) welcome: Welcome,
    /// What is current now.
    pub(super) offer: Arc<Offer>,
    /// What will be.
    pub(super) manifests: Manifests,
    /// Tells when it may have been turned away.
    pub(super) edges: EdgeChanges,
    /// Where the cluster has put it, if it came by a join token.
    pub(super) put: Option<Put>,
}

/// Judges a hello. A follower that is behind answers from what it has applied: the edge then
/// follows that, and whatever this node applies next.
pub(super) fn admit(
    control: &dyn ControlPlane,
    (feeds, signer): (&Feeds, &Signer),
    shown: Option<&EdgeCertificate>,
    hello: &Hello,
) -> Result<Admitted, Refusal> {
    let shown = shown.filter(|shown| shown.id == hello.edge_id);
    let shown = shown.ok_or_else(|| Refusal::Identity {
        edge_id: hello.edge_id.clone(),
    })?;
    // What it has applied may be of long ago, or nothing at all.
    if !control.has_joined() {
        return Err(Refusal::Draining);
    }
    let unknown = || Refusal::UnknownEnvironment {
        name: hello.environment.clone(),
    };
    if shown.environment.as_ref() != Some(&hello.environment) {
        tracing::warn!(
            edge = hello.edge_id,
            asks = hello.environment,
            has = shown.environment,
            "an edge asks for another environment than its certificate names"
        );
        return Err(unknown());
    }
    let found = control.read_local(|view| query::environment_by_name(view, &hello.environment));
    // Without storage the process is about to end.
    let (environment, _) = found.map_err(|_| Refusal::Draining)?;
    let environment_id = environment.ok_or_else(unknown)?.id;
    let manifests = feeds.follow(&environment_id);
    let edges = feeds.follow_edges(&environment_id);
    let put = welcome(control, &environment_id, shown)?;
    let current = control.read_local(|view| signer.offer(view, &environment_id));
    let (offer, _) = current.map_err(|_| Refusal::Draining)?;
    let offer = offer.map(Arc::new).map_err(|error| {
        tracing::error!(%error, edge = hello.edge_id, "an edge is sent on, because nothing can be signed for it");
        Refusal::Draining
    })?;
    feeds.seed(&environment_id, &offer);
    let publishers = control
        .members()
        .into_iter()
        .map(|member| member.publisher)
        .collect();
    let welcome = Welcome {
        protocol: PROTOCOL,
        node_id: control.this().id,
        environment_id,
        publishers,
    };
    Ok(Admitted {
        welcome,
        offer,
        manifests,
        edges,
        put,
    })
}

/// Fails for an edge that was turned away, or whose place another one has taken. Says where the cluster has
/// put it, if it came by a join token.
pub(super) fn welcome(
    control: &dyn ControlPlane,
    environment: &EnvironmentId,
    shown: &EdgeCertificate,
) -> Result<Option<Put>, Refusal> {
    let found = control.read_local(|view| query::edge_record(view, environment, &shown.id));
    let (record, _) = found.map_err(|_| Refusal::Draining)?;
    let Some(record) = record else {
        return Ok(None);
    };
    let key = shown.key.map(|EdgeKey(key)| EdgePublicKey(key));
    if !record.admits(key.as_ref()) {
        return Err(Refusal::Revoked {
            edge_id: shown.id.clone(),
        });
    }
    let enrolment = record.enrolment;
    Ok(enrolment.map(|enrolment| (enrolment.region, enrolment.labels)))
}
