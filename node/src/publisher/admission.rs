//! Who is let in: an edge whose certificate carries the name that it says, and an environment
//! that exists.

use edge_protocol::{Hello, ManifestRef, PROTOCOL, Refusal, Welcome};
use platform::tls::Peer;
use rustls::pki_types::CertificateDer;

use domain::query;

use super::feed::{Feeds, Manifests};
use crate::control_plane::ControlPlane;

/// An edge that is let in.
pub(super) struct Admitted {
    pub(super) welcome: Welcome,
    /// What is current now.
    pub(super) manifest: ManifestRef,
    /// What will be.
    pub(super) manifests: Manifests,
}

/// Judges a hello. A follower that is behind answers from what it has applied: the edge then
/// follows that, and whatever this node applies next.
pub(super) fn admit(
    control: &dyn ControlPlane,
    feeds: &Feeds,
    peer: Option<&Peer>,
    hello: &Hello,
) -> Result<Admitted, Refusal> {
    if !matches!(peer, Some(Peer::Edge(id)) if *id == hello.edge_id) {
        return Err(Refusal::Identity {
            edge_id: hello.edge_id.clone(),
        });
    }
    // What it has applied may be of long ago, or nothing at all.
    if !control.has_joined() {
        return Err(Refusal::Draining);
    }
    let unknown = || Refusal::UnknownEnvironment {
        name: hello.environment.clone(),
    };
    let found = control.read_local(|view| query::environment_by_name(view, &hello.environment));
    // Without storage the process is about to end.
    let (environment, _) = found.map_err(|_| Refusal::Draining)?;
    let environment_id = environment.ok_or_else(unknown)?.id;
    let manifests = feeds.follow(&environment_id);
    let current =
        control.read_local(|view| ManifestRef::from(&query::manifest(view, &environment_id)));
    let (manifest, _) = current.map_err(|_| Refusal::Draining)?;
    feeds.seed(&environment_id, manifest);
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
        manifest,
        manifests,
    })
}

/// Who the other side is, by the certificate that the handshake has verified.
pub(super) fn peer_of(connection: &quinn::Connection) -> Option<Peer> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Peer::of(chain.first()?)
}
