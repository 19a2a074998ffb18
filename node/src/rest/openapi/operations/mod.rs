//! Every operation of the API, one row each. What the rows do not say is the same for all.

mod access;
mod certificates;
mod configuration;
mod fleet;
mod history;
mod process;
mod snapshots;
mod telemetry;
mod webhooks;

use super::described::Described;

/// The headings, in the order of the document, and what stands under them.
pub(super) const TAGS: [(&str, &str); 16] = [
    (
        "Rules",
        "Which requests of a route are meant, and what is done with them. Changes go into the route's draft.",
    ),
    (
        "Routes",
        "A public host name with a traffic mode and settings.",
    ),
    ("Upstreams", "A named group of weighted targets."),
    (
        "Certificates",
        "What edges show to clients that ask for a host over TLS.",
    ),
    (
        "Publishing",
        "A route's draft goes live, or an earlier state of it.",
    ),
    ("Snapshots", "What was published, and what differs."),
    ("Manifests", "What the edges of an environment follow."),
    ("Edges", "The fleet, as the nodes see it now."),
    (
        "Telemetry",
        "What edges counted of their requests, for an hour.",
    ),
    ("Events", "What happened in an environment."),
    ("Webhooks", "The same events, posted to a URL of yours."),
    (
        "Audit log",
        "One entry for each request that changed something.",
    ),
    ("API keys", "Who may ask."),
    (
        "Environments",
        "Separate spaces of routes, rules, upstreams and snapshots.",
    ),
    (
        "Workspace",
        "The tenant, its limits and what it uses of them.",
    ),
    ("The process", "Needs no key."),
];

pub(super) use snapshots::also;

/// All operations.
pub(super) fn all() -> Vec<Described> {
    let mut all = configuration::rows();
    all.extend(snapshots::rows());
    all.extend(fleet::rows());
    all.extend(telemetry::rows());
    all.extend(history::rows());
    all.extend(webhooks::rows());
    all.extend(certificates::rows());
    all.extend(access::rows());
    all.extend(process::rows());
    let place = |described: &Described| TAGS.iter().position(|(tag, _)| *tag == described.tag);
    all.sort_by_key(place);
    all
}
