//! What a key needs for an operation. Every operation has one of these; that a caller's key meets
//! it is checked by `authorize`.

use domain::model::{Grant, Resource};

/// What a key needs for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// No key at all. Where callers must have a key, such an operation is refused.
    Open,
    /// Any key: it is about the key itself.
    Own,
    /// The method, the resource and the route within the key's scopes.
    Scoped {
        /// The kind of objects.
        resource: Resource,
        /// What is done with them.
        grant: Grant,
        /// Which object.
        target: Target,
    },
    /// A key without restriction. Who manages what is decided in the state machine.
    Managed {
        /// Which object.
        target: Target,
    },
}

/// The object that the path names, and with it the routes that a key must be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// None that belongs to one route. A key that is confined to routes may look, and change
    /// nothing, because all routes would see the change.
    Shared,
    /// None in the path: the operation itself filters by route, or checks the route in the body.
    Filtered,
    /// A route.
    Route,
    /// A rule, which belongs to a route.
    Rule,
    /// A snapshot, which belongs to a route.
    Snapshot,
    /// Two sides of a comparison: snapshots, or words with `route_id` in the query.
    Snapshots,
    /// An upstream, which any route may use: as [`Self::Shared`].
    Upstream,
    /// An API key.
    ApiKey,
    /// An environment.
    Environment,
    /// An event, which may be about a route.
    Event,
    /// An entry of the audit log, which may be about routes.
    AuditEntry,
    /// A webhook endpoint: as [`Self::Shared`].
    WebhookEndpoint,
    /// A certificate: as [`Self::Shared`].
    Certificate,
    /// A join token: as [`Self::Shared`].
    EdgeToken,
    /// A delivery to a webhook endpoint, which may be of an event about a route.
    WebhookDelivery,
}

impl Policy {
    /// Looking at objects.
    pub(crate) const fn reads(resource: Resource, target: Target) -> Self {
        Self::Scoped {
            resource,
            grant: Grant::Read,
            target,
        }
    }

    /// Changing objects.
    pub(crate) const fn writes(resource: Resource, target: Target) -> Self {
        Self::Scoped {
            resource,
            grant: Grant::Write,
            target,
        }
    }

    /// Managing keys, environments, the workspace, and which edges there are.
    pub(crate) const fn manages(target: Target) -> Self {
        Self::Managed { target }
    }
}
