//! An operation as the document describes it: what its row in the tables says. What all operations
//! of a kind have in common (headers, the usual errors) follows from the row and is not in it.

use domain::model::Resource;
use http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::error::Code;
use super::super::operation::{Effect, Operation};
use super::super::policy::Policy;
use super::schemas::Typed;
use super::shape::reference;

/// Operations whose commands [grow](domain::command::Command::grows) what there is: refused while a disk is full.
const GROWING: [&str; 14] = [
    "api_keys.create",
    "certificates.create",
    "edge_tokens.create",
    "environments.create",
    "routes.create",
    "routes.update",
    "rules.batch",
    "rules.create",
    "rules.update",
    "targets.create",
    "upstreams.create",
    "upstreams.shift",
    "upstreams.update",
    "webhooks.create",
];

/// An operation, its method and what it takes and gives.
pub(super) struct Described {
    pub(super) operation: Operation,
    /// In lower case, as OpenAPI has it.
    pub(super) method: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) paging: Option<Paging>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// Whether a single object comes with an entity tag.
    pub(super) tagged: bool,
    /// Refusals beside the usual ones.
    pub(super) refusals: Vec<Code>,
    /// Where identifiers in the answer lead.
    pub(super) links: Vec<Link>,
}

/// How much of a list is on a page unless `limit` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paging {
    Usual,
    Everything,
}

/// What is sent.
pub(super) struct Body {
    pub(super) of: Typed,
    pub(super) required: bool,
}

/// What comes back when it went well.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) contents: Vec<Content>,
}

/// A body that comes back.
#[derive(Clone)]
pub(super) enum Content {
    Object(Typed),
    List(Typed),
    /// Gathered from all members, so it says who did not answer.
    FleetList(Typed),
    /// The document itself.
    AnyObject,
    /// A media type and what stands in it.
    Other(&'static str, Value, Option<Typed>),
}

/// A parameter of one operation; those that many have are in [`super::parameters`].
#[derive(Clone)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: &'static str,
    pub(super) schema: Value,
    pub(super) description: &'static str,
    /// How a value that is no single word is written.
    pub(super) style: Option<(&'static str, bool)>,
}

/// An identifier in the answer, and below which path it is asked for.
pub(super) struct Link {
    pub(super) below: &'static str,
    pub(super) parameters: Vec<(&'static str, &'static str)>,
}

pub(super) fn get(operation: Operation, summary: &'static str) -> Described {
    Described::new("get", operation, summary)
}

pub(super) fn post(operation: Operation, summary: &'static str) -> Described {
    Described::new("post", operation, summary)
}

pub(super) fn patch(operation: Operation, summary: &'static str) -> Described {
    Described::new("patch", operation, summary)
}

pub(super) fn delete(operation: Operation, summary: &'static str) -> Described {
    Described::new("delete", operation, summary)
}

/// Puts operations under a heading.
pub(super) fn under(tag: &'static str, operations: Vec<Described>) -> Vec<Described> {
    let tagged = |described| Described { tag, ..described };
    operations.into_iter().map(tagged).collect()
}

/// A query parameter whose value has a named shape.
pub(super) fn by(name: &'static str, shape: &str, description: &'static str) -> Parameter {
    query(name, reference(shape), description)
}

/// A query parameter.
pub(super) fn query(name: &'static str, schema: Value, description: &'static str) -> Parameter {
    Parameter {
        name,
        place: "query",
        schema,
        description,
        style: None,
    }
}

/// A query parameter that is `true` or `false`.
pub(super) fn flag(name: &'static str, description: &'static str) -> Parameter {
    query(name, json!({"type": "boolean"}), description)
}

/// A query parameter that is any text.
pub(super) fn text(name: &'static str, description: &'static str) -> Parameter {
    query(name, json!({"type": "string"}), description)
}

impl Described {
    fn new(method: &'static str, operation: Operation, summary: &'static str) -> Self {
        Self {
            operation,
            method,
            tag: "",
            summary,
            description: "",
            parameters: Vec::new(),
            paging: None,
            body: None,
            answers: Vec::new(),
            tagged: false,
            refusals: Vec::new(),
            links: Vec::new(),
        }
    }

    pub(super) fn about(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }

    pub(super) fn with(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// Takes a body.
    pub(super) fn takes<T: ToSchema>(self) -> Self {
        self.body(Typed::of::<T>(), true)
    }

    /// Takes a body that may be left out.
    pub(super) fn may_take<T: ToSchema>(self) -> Self {
        self.body(Typed::of::<T>(), false)
    }

    fn body(self, of: Typed, required: bool) -> Self {
        let body = Some(Body { of, required });
        Self { body, ..self }
    }

    /// Answers 200 with an object.
    pub(super) fn gives<T: ToSchema>(self) -> Self {
        self.answers(StatusCode::OK, [Content::Object(Typed::of::<T>())])
    }

    /// Answers 201 with an object.
    pub(super) fn makes<T: ToSchema>(self) -> Self {
        self.answers(StatusCode::CREATED, [Content::Object(Typed::of::<T>())])
    }

    /// Answers with a page of a list.
    pub(super) fn lists<T: ToSchema>(self) -> Self {
        self.answers(StatusCode::OK, [Content::List(Typed::of::<T>())])
            .paged(Paging::Usual)
    }

    /// Answers with a list that is complete.
    pub(super) fn gives_all<T: ToSchema>(self) -> Self {
        self.answers(StatusCode::OK, [Content::List(Typed::of::<T>())])
    }

    pub(super) fn paged(self, paging: Paging) -> Self {
        let paging = Some(paging);
        Self { paging, ..self }
    }

    pub(super) fn answers(
        mut self,
        status: StatusCode,
        contents: impl IntoIterator<Item = Content>,
    ) -> Self {
        let contents = contents.into_iter().collect();
        self.answers.push(Answer { status, contents });
        self
    }

    /// The object comes with an entity tag.
    pub(super) fn tagged(self) -> Self {
        Self {
            tagged: true,
            ..self
        }
    }

    pub(super) fn refused(mut self, codes: &[Code]) -> Self {
        self.refusals.extend(codes);
        self
    }

    /// The answer's identifier leads to the operations below this path.
    pub(super) fn leads(self, below: &'static str, pointer: &'static str) -> Self {
        self.leads_by(below, vec![("id", pointer)])
    }

    pub(super) fn leads_by(
        mut self,
        below: &'static str,
        parameters: Vec<(&'static str, &'static str)>,
    ) -> Self {
        self.links.push(Link { below, parameters });
        self
    }

    /// Whether callers need a key.
    pub(super) fn is_guarded(&self) -> bool {
        self.operation.policy != Policy::Open
    }

    pub(super) fn is_write(&self) -> bool {
        self.operation.effect == Effect::Write
    }

    /// The names in the path.
    pub(super) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.operation.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }

    /// What the operation may be refused with.
    pub(super) fn codes(&self) -> Vec<Code> {
        let mut codes = vec![
            Code::InvalidParameter,
            Code::UnknownParameter,
            Code::InvalidApiVersion,
            Code::UriTooLong,
            Code::HeadersTooLarge,
            Code::InternalError,
        ];
        if self.is_guarded() {
            codes.extend([
                Code::InvalidApiKey,
                Code::ResourceNotFound,
                Code::RateLimitExceeded,
                Code::ClusterUnavailable,
            ]);
        }
        if !matches!(self.operation.policy, Policy::Open | Policy::Own) {
            codes.push(Code::InsufficientScope);
        }
        if self.is_guarded() {
            codes.push(Code::IpNotAllowed);
        }
        if self.paging.is_some() {
            codes.push(Code::InvalidCursor);
        }
        if self.method != "get" {
            codes.extend([
                Code::InvalidJson,
                Code::InvalidContentType,
                Code::InvalidIdempotencyKey,
                Code::PayloadTooLarge,
                Code::RequestTimeout,
            ]);
        }
        if self.body.is_some() {
            codes.push(Code::ParameterMissing);
        }
        if self.is_write() {
            codes.extend([
                Code::IdempotencyKeyReused,
                Code::IdempotencyInProgress,
                Code::IdempotencyLimitExceeded,
                Code::PreconditionFailed,
                Code::OutcomeUnknown,
            ]);
        }
        if GROWING.contains(&self.operation.name) {
            codes.push(Code::StorageFull);
        }
        codes.extend(&self.refusals);
        codes.sort_by_key(|code| (code.status(), code.as_str()));
        codes.dedup();
        codes
    }

    /// What the key needs, in words.
    pub(super) fn scope(&self) -> Option<String> {
        let granted = |resource: Resource, grant| {
            let grant = match grant {
                domain::model::Grant::Read => "read",
                domain::model::Grant::Write => "write",
            };
            format!("`{}:{grant}`", resource.as_str())
        };
        match self.operation.policy {
            Policy::Open => None,
            Policy::Own => Some("Any key.".to_owned()),
            Policy::Scoped {
                resource, grant, ..
            } => Some(format!(
                "A restricted key needs {}.",
                granted(resource, grant)
            )),
            Policy::Managed { .. } => Some("A live or test key.".to_owned()),
        }
    }
}
