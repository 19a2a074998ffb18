//! Certificates, and which routes show them.

use crate::content::{RouteContent, TlsConfig};
use crate::id::{CertificateId, EnvironmentId, RouteId};
use crate::model::{Certificate, Route};
use crate::rows::View;
use crate::schema::{CERTIFICATE_CHANGES, CERTIFICATES, ROUTES, get_chunk};
use crate::time::Revision;

/// A route that shows a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateUse {
    /// The route.
    pub route_id: RouteId,
    /// Under this hostname, in its draft or live.
    pub hostname: String,
}

/// A certificate.
pub fn certificate(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &CertificateId,
) -> Option<Certificate> {
    CERTIFICATES.get(view, (environment, id))
}

/// All certificates of an environment, in order of creation: a few hundred at most.
pub fn certificates(view: &(impl View + ?Sized), environment: &EnvironmentId) -> Vec<Certificate> {
    let span = CERTIFICATES.under((environment,));
    let certificates = CERTIFICATES.walk(view, span);
    certificates.map(|(_, certificate)| certificate).collect()
}

/// The entry that last changed a certificate of an environment.
pub fn certificates_changed(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
) -> Option<Revision> {
    CERTIFICATE_CHANGES.get(view, (environment,))
}

/// Where a certificate is shown, in drafts and live. It looks at every route of the environment, so
/// it is for what happens seldom: replacing and removing a certificate.
pub fn certificate_uses(
    view: &(impl View + ?Sized),
    environment: &EnvironmentId,
    id: &CertificateId,
) -> Vec<CertificateUse> {
    let routes = ROUTES.walk(view, ROUTES.under((environment,)));
    let uses = routes.flat_map(|(_, route)| uses(view, &route, id));
    uses.collect()
}

fn uses(view: &(impl View + ?Sized), route: &Route, id: &CertificateId) -> Vec<CertificateUse> {
    let draft = route
        .archived_at
        .is_none()
        .then(|| (route.config.clone(), route.hostname.clone()));
    let shows = |(config, hostname): (String, String)| {
        let tls = TlsConfig::of_config(&config).unwrap_or_default();
        (tls.certificate_id.as_ref() == Some(id)).then(|| CertificateUse {
            route_id: route.id.clone(),
            hostname,
        })
    };
    draft
        .into_iter()
        .chain(live(view, route))
        .filter_map(shows)
        .collect()
}

/// The `config` and hostname of what a route has live.
fn live(view: &(impl View + ?Sized), route: &Route) -> Option<(String, String)> {
    if route.archived_at.is_some() {
        return None;
    }
    let published = route.published.as_ref()?;
    let head = RouteContent::decode(&get_chunk(view, &published.head)?).ok()?;
    Some((head.config, head.hostname))
}
