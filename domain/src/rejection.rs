//! Why a command was refused: the first of the three kinds of failure, replicated like any other
//! result and shown to the client as a 4xx. The rim maps each variant to its status and code.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a draft, found when it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Machine-readable: `unknown_upstream`, `invalid_match`, `invalid_action`, `no_weight`.
    pub code: String,
    /// For people.
    pub message: String,
    /// Where: `rule_….action.upstream_id`, `config.upstreams[0]`.
    pub param: Option<String>,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The object does not exist in the caller's environment.
    #[error("No such {object}: {id}")]
    NotFound {
        /// `rule`, `route`, `upstream`, `snapshot`, `api_key`.
        object: String,
        /// The identifier as it was given.
        id: String,
        /// The parameter that named it, where it was a body field.
        param: Option<String>,
    },
    /// The identifier is taken: the proposer drew one twice.
    #[error("The identifier {id} is taken.")]
    IdTaken {
        /// Which.
        id: String,
    },
    /// A workspace exists already.
    #[error("This cluster has been bootstrapped already.")]
    AlreadyBootstrapped,
    /// Another rule of the route has this priority.
    #[error("A rule with priority {priority} already exists on the route: {rule_id}.")]
    PriorityConflict {
        /// The priority.
        priority: u32,
        /// The rule that has it.
        rule_id: String,
    },
    /// The route is disabled.
    #[error("The specified route is currently disabled.")]
    RouteDisabled {
        /// Which.
        route_id: String,
    },
    /// The object is archived and cannot be changed.
    #[error("The {object} is archived.")]
    Archived {
        /// `rule` or `route`.
        object: String,
    },
    /// The active snapshot depends on the rule.
    #[error("The rule is part of the active snapshot; publish the route without it first.")]
    RulePublished,
    /// The active snapshot of the route is enabled.
    #[error("The route is live; disable it and publish before archiving it.")]
    RoutePublished,
    /// Another route has the hostname.
    #[error("Another route of this environment has the hostname {hostname}.")]
    HostnameConflict {
        /// Which hostname.
        hostname: String,
    },
    /// The plan allows no more routes.
    #[error("The plan {plan} allows {limit} routes in an environment.")]
    RouteLimitExceeded {
        /// The plan.
        plan: String,
        /// Its limit.
        limit: u64,
    },
    /// A rule or route uses the upstream.
    #[error("The upstream is used by {used_by}.")]
    UpstreamInUse {
        /// An identifier of one user.
        used_by: String,
    },
    /// A field is missing, for which the rest of the object asks.
    #[error("Missing required parameter: {param}.")]
    ParameterMissing {
        /// The dotted path.
        param: String,
    },
    /// A field has a value that cannot be.
    #[error("{message}")]
    InvalidParameter {
        /// The dotted path.
        param: String,
        /// What is wrong.
        message: String,
    },
    /// Fields are well-formed but do not go together.
    #[error("{message}")]
    InvalidConfig {
        /// The dotted path.
        param: String,
        /// What is wrong.
        message: String,
    },
    /// The draft cannot be published.
    #[error("The draft has {} problem(s) and cannot be published.", .problems.len())]
    ValidationFailed {
        /// All of them, up to 100.
        problems: Vec<Problem>,
    },
    /// The snapshot cannot be made active.
    #[error("{reason}")]
    SnapshotNotPublishable {
        /// Why.
        reason: String,
    },
    /// The state is not the one that the client expected.
    #[error("{message}")]
    PreconditionFailed {
        /// The parameter that carried the expectation.
        param: String,
        /// What was found instead.
        message: String,
    },
    /// The idempotency key was used for another request.
    #[error("This Idempotency-Key was used for a different request.")]
    IdempotencyKeyReused,
    /// As many answers are kept as may be; the request can be made without an idempotency key, or
    /// later.
    #[error("The cluster keeps as many answers for idempotency keys as it can.")]
    AnswersFull {
        /// When the next of them expires, in seconds.
        retry_after_s: u64,
    },
    /// A limit on the size of what may be configured.
    #[error("{message}")]
    LimitExceeded {
        /// The parameter.
        param: String,
        /// Which limit.
        message: String,
    },
    /// The webhook endpoint gets nothing.
    #[error("The webhook endpoint {id} is disabled; enable it first.")]
    EndpointDisabled {
        /// Which.
        id: String,
    },
    /// A field that does not exist.
    #[error("Unknown parameter: {param}.")]
    UnknownParameter {
        /// The dotted path.
        param: String,
    },
    /// Of several things that were asked for at once, these were refused, and so all were.
    #[error("{} of the {list} were refused, so nothing was changed.", .refused.len())]
    Items {
        /// The parameter that is the list.
        list: String,
        /// The refused ones, in their order.
        refused: Vec<RefusedItem>,
    },
    /// The caller's key may not do this.
    #[error("{message}")]
    InsufficientScope {
        /// What it lacks.
        message: String,
    },
    /// The key was revoked or has expired.
    #[error("The API key {id} has been revoked or has expired.")]
    ApiKeyInactive {
        /// Which.
        id: String,
    },
    /// Another environment has the name.
    #[error("Another environment of this workspace has the name {name}.")]
    EnvironmentNameTaken {
        /// Which name.
        name: String,
    },
    /// A route shows the certificate.
    #[error("The certificate is used by {used_by}.")]
    CertificateInUse {
        /// The identifier of one route.
        used_by: String,
    },
    /// There is no shift to be ended.
    #[error("The upstream shifts no weight now.")]
    ShiftNotRunning,
    /// Weight is being shifted between targets of the upstream.
    #[error(
        "The upstream shifts weight from {from} to {to}; what these weigh is the shift's until it has ended."
    )]
    ShiftInProgress {
        /// The target whose weight goes.
        from: String,
        /// The target that gets it.
        to: String,
    },
    /// The node's number was used before.
    #[error("The node number {id} was used before and is never used again; choose another one.")]
    MemberRetired {
        /// Which.
        id: u64,
    },
    /// An edge is not let in.
    #[error("{message}")]
    EnrolmentRefused {
        /// Why.
        message: String,
    },
}

/// One of several things, and why it was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedItem {
    /// Its place in the list.
    pub index: u32,
    /// Why.
    pub rejection: Rejection,
}
