//! What a restricted key is restricted to. That a request stays within it is checked at the rim;
//! what may stand in it, when a key is made.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{EnvironmentId, RouteId};

/// An HTTP method that a key may be restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verb {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`.
    Post,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Patch, Self::Delete];

    /// The method's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A kind of objects that a key may be restricted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// Rules.
    Rules,
    /// Routes and their drafts.
    Routes,
    /// Upstreams and their targets.
    Upstreams,
    /// Snapshots; making them is publishing and rolling back.
    Snapshots,
    /// Edges.
    Edges,
    /// API keys.
    ApiKeys,
    /// Environments.
    Environments,
    /// The workspace, its limits and what it uses of them.
    Workspace,
    /// Events.
    Events,
    /// The audit log.
    AuditLog,
    /// Webhook endpoints and deliveries to them.
    Webhooks,
    /// Certificates that edges show.
    Certificates,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Rules,
        Self::Routes,
        Self::Upstreams,
        Self::Snapshots,
        Self::Edges,
        Self::ApiKeys,
        Self::Environments,
        Self::Workspace,
        Self::Events,
        Self::AuditLog,
        Self::Webhooks,
        Self::Certificates,
    ];

    /// The name as the API shows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Routes => "routes",
            Self::Upstreams => "upstreams",
            Self::Snapshots => "snapshots",
            Self::Edges => "edges",
            Self::ApiKeys => "api_keys",
            Self::Environments => "environments",
            Self::Workspace => "workspace",
            Self::Events => "events",
            Self::AuditLog => "audit_log",
            Self::Webhooks => "webhooks",
            Self::Certificates => "certificates",
        }
    }

    /// Whether a restricted key can be granted to change them; the rest only secret keys change.
    #[must_use]
    pub fn is_grantable_for_writing(self) -> bool {
        matches!(
            self,
            Self::Rules
                | Self::Routes
                | Self::Upstreams
                | Self::Snapshots
                | Self::Webhooks
                | Self::Certificates
        )
    }
}

/// What may be done with a kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grant {
    /// Looking at them.
    Read,
    /// Changing them, and looking at them.
    Write,
}

/// One entry of a key's resource scope: `rules:read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceScope {
    /// Which objects.
    pub resource: Resource,
    /// What may be done with them.
    pub grant: Grant,
}

impl ResourceScope {
    /// Reads `rules:read` or `rules:write`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, grant) = text.split_once(':')?;
        let resource = Resource::ALL
            .into_iter()
            .find(|resource| resource.as_str() == name)?;
        let grant = match grant {
            "read" => Grant::Read,
            "write" => Grant::Write,
            _ => return None,
        };
        Some(Self { resource, grant })
    }
}

impl fmt::Display for ResourceScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grant = match self.grant {
            Grant::Read => "read",
            Grant::Write => "write",
        };
        write!(f, "{}:{grant}", self.resource.as_str())
    }
}

/// What a restricted key is restricted to. An empty set restricts nothing of its kind, but for
/// `environments`, which a restricted key always has and a secret key never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scopes {
    /// The environments that it may act in.
    pub environments: BTreeSet<EnvironmentId>,
    /// The routes that it may see and change, with their rules and snapshots.
    pub routes: BTreeSet<RouteId>,
    /// The HTTP methods that it may use.
    pub methods: BTreeSet<Verb>,
    /// The kinds of objects that it may read or change.
    pub resources: BTreeSet<ResourceScope>,
}

impl Scopes {
    /// Whether a method may be used.
    #[must_use]
    pub fn allows_method(&self, verb: Verb) -> bool {
        self.methods.is_empty() || self.methods.contains(&verb)
    }

    /// Whether a kind of objects may be read or changed.
    #[must_use]
    pub fn allows_resource(&self, resource: Resource, grant: Grant) -> bool {
        let covers = |scope: &ResourceScope| scope.resource == resource && scope.grant >= grant;
        self.resources.is_empty() || self.resources.iter().any(covers)
    }

    /// Whether what belongs to a route may be seen and changed.
    #[must_use]
    pub fn allows_route(&self, route: &RouteId) -> bool {
        self.routes.is_empty() || self.routes.contains(route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Seed;

    fn route(random: u64) -> RouteId {
        RouteId::new(Seed { unix_ms: 1, random })
    }

    #[test]
    fn scopes_without_entries_restrict_nothing() {
        let scopes = Scopes::default();
        assert!(scopes.allows_method(Verb::Delete));
        assert!(scopes.allows_resource(Resource::Snapshots, Grant::Write));
        assert!(scopes.allows_route(&route(1)));
    }

    #[test]
    fn an_entry_allows_what_it_names_and_writing_includes_reading() {
        let resource = |text| ResourceScope::parse(text).unwrap();
        let scopes = Scopes {
            routes: [route(1)].into(),
            methods: [Verb::Get].into(),
            resources: [resource("rules:write"), resource("routes:read")].into(),
            ..Scopes::default()
        };
        assert!(scopes.allows_route(&route(1)) && !scopes.allows_route(&route(2)));
        assert!(scopes.allows_method(Verb::Get) && !scopes.allows_method(Verb::Post));
        for (resource, grant, allowed) in [
            (Resource::Rules, Grant::Read, true),
            (Resource::Rules, Grant::Write, true),
            (Resource::Routes, Grant::Read, true),
            (Resource::Routes, Grant::Write, false),
            (Resource::Edges, Grant::Read, false),
        ] {
            let found = scopes.allows_resource(resource, grant);
            assert_eq!(found, allowed, "{resource:?} {grant:?}");
        }
    }

    #[test]
    fn a_resource_scope_reads_back_as_it_is_shown() {
        for resource in Resource::ALL {
            for grant in [Grant::Read, Grant::Write] {
                let scope = ResourceScope { resource, grant };
                assert_eq!(ResourceScope::parse(&scope.to_string()), Some(scope));
            }
        }
        for bad in ["", "rules", "rules:", "rules:all", ":read", "rule:read"] {
            assert_eq!(ResourceScope::parse(bad), None, "{bad}");
        }
    }
}
