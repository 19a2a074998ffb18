//! Entity tags: which state of an object a client has seen. A tag is the revision that last wrote
//! the object, in quotes; it is the same on every node. What is shown otherwise than usual, by an
//! older release or with content, has a tag that says so, because strong tags stand for bytes; as
//! an expectation it means the same state. Whether a change may go on is not judged
//! here: [`Tags::precondition`] goes with the command and the state machine decides.

use domain::command::Precondition;
use domain::model::{Route, RouteDraft};
use domain::outcome::Outcome;
use domain::time::Revision;
use http::{HeaderMap, HeaderValue};

use super::error::ApiError;
use super::version::Release;

/// The most tags in one header: a client has seen a few states of one object, not hundreds.
const TAGS_MAX: usize = 16;

/// The strong entity tag of an object in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ETag(String);

impl ETag {
    /// The tag of an object that this entry was the last to write.
    pub(crate) fn at(revision: Revision) -> Self {
        Self(format!("\"{}\"", revision.0))
    }

    /// The tag of what is no object of the state machine's, by a text that tells its states apart.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(format!("\"{text}\""))
    }

    /// The tag of a route, which shows its draft as well.
    pub(crate) fn of_route(route: &Route, draft: &RouteDraft) -> Self {
        Self::at(route.last_written(draft))
    }

    /// The tag of an object that is shown otherwise than usual.
    pub(crate) fn with(self, added: &str) -> Self {
        Self(format!("{}-{added}\"", self.0.trim_end_matches('"')))
    }

    /// The tag of the object that a command left, if it left one.
    pub(crate) fn of_outcome(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Upstream(upstream) | Outcome::ShiftedUpstream(upstream, _) => {
                Some(Self::at(upstream.revision))
            }
            Outcome::Route(route, draft) => Some(Self::of_route(route, draft)),
            Outcome::Rule(rule) => Some(Self::at(rule.revision)),
            Outcome::Published { snapshot, .. } => Some(Self::at(snapshot.revision)),
            _ => None,
        }
    }

    /// As a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

/// What `If-Match` or `If-None-Match` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// `*`: any state.
    Any,
    /// These states.
    These(Vec<Tag>),
}

/// An entity tag as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    weak: bool,
    tag: ETag,
}

impl Tags {
    /// What the header of this name says, if it is there.
    pub(crate) fn read(headers: &HeaderMap, name: &'static str) -> Result<Option<Self>, ApiError> {
        let mut lines = headers.get_all(name).iter().peekable();
        if lines.peek().is_none() {
            return Ok(None);
        }
        let texts: Option<Vec<_>> = lines.map(|line| line.to_str().ok()).collect();
        let tags = texts.and_then(|texts| Self::parse(&texts.join(",")));
        let malformed = || {
            let message = format!("Must be * or up to {TAGS_MAX} entity tags in double quotes.");
            ApiError::invalid(name, message)
        };
        tags.map(Some).ok_or_else(malformed)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim_matches([' ', '\t']);
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            let (tag, after) = Tag::parse(rest)?;
            tags.push(tag);
            rest = after.trim_start_matches([' ', '\t']);
            if tags.len() > TAGS_MAX {
                return None;
            }
            if rest.is_empty() {
                return Some(Self::These(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start_matches([' ', '\t']);
        }
    }

    /// Whether a state is among them, as reads compare: weak tags count.
    pub(crate) fn has(&self, state: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|known| known.tag == *state),
        }
    }

    /// What a command expects that carries them. Weak tags, and tags that we never gave, are of no
    /// state.
    pub(crate) fn precondition(&self) -> Precondition {
        match self {
            Self::Any => Precondition::Exists,
            Self::These(tags) => {
                Precondition::WrittenAt(tags.iter().filter_map(Tag::revision).collect())
            }
        }
    }
}

impl Tag {
    /// Reads a tag, and what stands behind it.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (weak, text) = match text.strip_prefix("W/") {
            Some(text) => (true, text),
            None => (false, text),
        };
        let (opaque, rest) = text.strip_prefix('"')?.split_once('"')?;
        let is_tag = opaque.bytes().all(|byte| byte.is_ascii_graphic());
        let tag = ETag(format!("\"{opaque}\""));
        is_tag.then_some((Self { weak, tag }, rest))
    }

    fn revision(&self) -> Option<Revision> {
        let text = self.tag.0.trim_matches('"');
        let (digits, shown_as) = match text.split_once('-') {
            Some((digits, date)) => (digits, Release::named(date)?),
            None => (text, Release::NEWEST),
        };
        let revision = Revision(digits.parse().ok()?);
        let tag = shown_as.tag(ETag::at(revision));
        (!self.weak && tag == self.tag).then_some(revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(text: &str) -> Option<Precondition> {
        Tags::parse(text).map(|tags| tags.precondition())
    }

    #[test]
    fn headers_of_tags_are_read_as_the_standard_has_them() {
        let at = |revisions: &[u64]| {
            Precondition::WrittenAt(revisions.iter().copied().map(Revision).collect())
        };
        for (text, precondition) in [
            ("*", Precondition::Exists),
            (" * ", Precondition::Exists),
            ("\"42\"", at(&[42])),
            ("\"42\" , \"43\",\"44\"", at(&[42, 43, 44])),
            ("W/\"42\"", at(&[])),
            ("\"042\", \"+42\", \"42-content\"", at(&[])),
            ("\"\"", at(&[])),
            ("\"42-2025-03-05\"", at(&[42])),
            ("\"42-2025-03-06\", \"42-2026-01-14\", \"42-\"", at(&[])),
            ("\"a,b\", \"7\"", at(&[7])),
            ("\"99999999999999999999\"", at(&[])),
        ] {
            assert_eq!(expected(text), Some(precondition), "{text}");
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        let many = vec!["\"1\""; TAGS_MAX + 1].join(",");
        for bad in [
            "",
            "42",
            "\"42",
            "42\"",
            "*, \"42\"",
            "\"42\" \"43\"",
            "\"42\",",
            ",\"42\"",
            "w/\"42\"",
            "\"4 2\"",
            &many,
        ] {
            assert_eq!(expected(bad), None, "{bad}");
        }
    }

    #[test]
    fn reads_compare_weakly_and_tell_additions_apart() {
        let tag = ETag::at(Revision(42));
        for (text, found) in [
            ("*", true),
            ("\"42\"", true),
            ("W/\"42\"", true),
            ("\"41\", \"42\"", true),
            ("\"41\"", false),
            ("\"42-content\"", false),
        ] {
            let tags = Tags::parse(text).unwrap();
            assert_eq!(tags.has(&tag), found, "{text}");
            assert_eq!(
                tags.has(&tag.clone().with("content")),
                text == "*" || text.contains("content")
            );
        }
    }
}
