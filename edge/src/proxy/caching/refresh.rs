//! Fetching a new answer behind one that was served stale. The client has its answer; what comes
//! is for the next.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use domain::matching::Request as Question;
use http::Request;
use platform::Network;
use tracing::debug;

use super::{Matter, Seeker};
use crate::active::Held;
use crate::cache::asked::{Asked, Conditions, Rules};
use crate::cache::flight::Lead;
use crate::cache::stored::Stored;
use crate::proxy::connection::Connection;
use crate::proxy::request;
use crate::proxy::service::Worker;
use crate::route::Verdict;
use crate::telemetry::Trace;

/// A request in the background, with all that it needs to outlive the one that caused it.
struct Background<N> {
    worker: Rc<Worker<N>>,
    connection: Rc<Connection>,
    held: Rc<Held>,
    request: Request<()>,
}

impl<N: Network> Seeker<'_, N> {
    /// Has a new answer fetched in the place of this one.
    pub(super) fn refresh(&self, stored: &Arc<Stored>, lead: Lead) {
        let mut request = Request::new(());
        self.request.method().clone_into(request.method_mut());
        self.request.uri().clone_into(request.uri_mut());
        *request.version_mut() = self.request.version();
        self.request.headers().clone_into(request.headers_mut());
        Conditions::strip(request.headers_mut());
        let background = Background {
            worker: Rc::clone(self.worker),
            connection: Rc::clone(self.connection),
            held: Rc::clone(self.matter.held),
            request,
        };
        self.worker.tally.cache.refreshed();
        tokio::task::spawn_local(background.run(Arc::clone(stored), lead));
    }
}

impl<N: Network> Background<N> {
    /// Asks as the request did, by the same configuration.
    async fn run(self, stored: Arc<Stored>, lead: Lead) {
        let Ok(host) = request::host(self.request.headers()) else {
            return;
        };
        let Some(served) = self.held.find(&host) else {
            return;
        };
        let decision = served.route.decide(&Question {
            method: self.request.method().as_str(),
            host: &host,
            path: self.request.uri().path(),
            query: self.request.uri().query().unwrap_or_default(),
            headers: &request::Fields(self.request.headers()),
            client: self.connection.client().ip(),
            region: &self.worker.settings.edge.region,
        });
        let Verdict::Forward(toward) = decision.verdict else {
            return;
        };
        let Some(asked) = Asked::of(self.request.method(), self.request.headers()) else {
            return;
        };
        let trace = Trace::of_nobody();
        let seeker = Seeker {
            worker: &self.worker,
            connection: &self.connection,
            matter: Matter {
                held: &self.held,
                served,
                rule: decision.rule,
                toward,
                trace: &trace,
            },
            rules: Rules::of(&served.route.compiled().caching),
            asked,
            place: lead.place.clone(),
            request: self.request.clone(),
            collapsed: false,
            changes: Cell::new(0),
        };
        let standing = stored
            .kept
            .standing(&seeker.asked, &seeker.rules, seeker.now_ms());
        if let Err(refusal) = seeker
            .ask_origin(Some((stored, standing)), Some(lead))
            .await
        {
            debug!(
                code = refusal.code.as_str(),
                "an answer could not be refreshed"
            );
        }
    }
}
