//! One of each kind of answer.

use domain::outcome::{Applied, Outcome, Reply};
use domain::rejection::{Problem, RefusedItem, Rejection};
use domain::time::{Revision, Timestamp};

use crate::samples::*;
use crate::several;

/// One of each kind of reply.
pub(crate) fn replies() -> Vec<(String, Applied)> {
    let outcomes = outcomes()
        .into_iter()
        .chain(several::outcomes())
        .chain(crate::certificates::outcomes())
        .chain(crate::shifts::outcomes())
        .chain(crate::edges::outcomes())
        .map(|(name, outcome)| (name.to_owned(), Ok(outcome)));
    let rejections = rejections()
        .into_iter()
        .chain(crate::shifts::rejections())
        .chain(crate::cluster::rejections())
        .chain(crate::edges::rejections());
    let rejections = rejections.map(|rejection| {
        let name = format!("{rejection:?}");
        let end = name.find([' ', '{']).unwrap_or(name.len());
        (name[..end].to_owned(), Err(rejection))
    });
    let applied = |reply: Reply| Applied {
        reply,
        revision: Revision(300),
        replayed: true,
    };
    outcomes
        .chain(rejections)
        .map(|(name, reply)| (name, applied(reply)))
        .collect()
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    vec![
        (
            "bootstrapped",
            Outcome::Bootstrapped {
                workspace_id: workspace_id(),
                production_id: environment_id(),
                sandbox_id: environment_id(),
            },
        ),
        ("api_key", Outcome::ApiKey(api_key())),
        ("upstream", Outcome::Upstream(upstream())),
        (
            "upstream_deleted",
            Outcome::UpstreamDeleted {
                id: upstream_id(),
                at: Timestamp(1),
            },
        ),
        ("route", Outcome::Route(route(), draft().shown())),
        ("rule", Outcome::Rule(rule())),
        (
            "published",
            Outcome::Published {
                snapshot: snapshot(),
                unchanged: true,
            },
        ),
        ("environment", Outcome::Environment(environment())),
        ("workspace", Outcome::Workspace(workspace())),
        ("key_uses_recorded", Outcome::KeyUsesRecorded),
    ]
}

fn rejections() -> Vec<Rejection> {
    let text = |text: &str| text.to_owned();
    vec![
        Rejection::NotFound {
            object: text("rule"),
            id: text("rule_1"),
            param: Some(text("route_id")),
        },
        Rejection::IdTaken { id: text("rule_1") },
        Rejection::AlreadyBootstrapped,
        Rejection::PriorityConflict {
            priority: 40,
            rule_id: text("rule_1"),
        },
        Rejection::RouteDisabled {
            route_id: text("rt_1"),
        },
        Rejection::Archived {
            object: text("rule"),
        },
        Rejection::RulePublished,
        Rejection::RoutePublished,
        Rejection::HostnameConflict {
            hostname: text("api.example.net"),
        },
        Rejection::RouteLimitExceeded {
            plan: text("free"),
            limit: 3,
        },
        Rejection::UpstreamInUse {
            used_by: text("rt_1"),
        },
        Rejection::ParameterMissing {
            param: text("name"),
        },
        Rejection::InvalidParameter {
            param: text("name"),
            message: text("why"),
        },
        Rejection::InvalidConfig {
            param: text("config"),
            message: text("why"),
        },
        Rejection::ValidationFailed {
            problems: vec![Problem {
                code: text("no_weight"),
                message: text("why"),
                param: Some(text("action")),
            }],
        },
        Rejection::SnapshotNotPublishable {
            reason: text("why"),
        },
        Rejection::PreconditionFailed {
            param: text("snapshot_id"),
            message: text("why"),
        },
        Rejection::IdempotencyKeyReused,
        Rejection::AnswersFull { retry_after_s: 60 },
        Rejection::LimitExceeded {
            param: text("targets"),
            message: text("why"),
        },
        Rejection::UnknownParameter {
            param: text("colour"),
        },
        Rejection::Items {
            list: text("operations"),
            refused: vec![RefusedItem {
                index: 3,
                rejection: Rejection::RulePublished,
            }],
        },
        Rejection::InsufficientScope {
            message: text("why"),
        },
        Rejection::ApiKeyInactive { id: text("key_1") },
        Rejection::EnvironmentNameTaken {
            name: text("staging"),
        },
        Rejection::CertificateInUse {
            used_by: text("rt_1"),
        },
    ]
}
