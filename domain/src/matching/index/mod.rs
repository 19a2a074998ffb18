//! Finds the first rule that takes a request without trying all of them. Each rule is filed under one
//! of its criteria, the rarest ([`filing`]); a look-up goes through the few lists whose keys are true
//! of the request, each in the order in which rules are tried, and leaves a list as soon as it
//! is past the best rule found so far. What is on a list is a candidate only: whether it takes the
//! request is asked of the rule itself, so the answer is that of trying all rules one by one.
//!
//! | key | told by |
//! |---|---|
//! | exact path, also of a regular expression without alternatives | hash table |
//! | path prefix; beginning of a regular expression | radix tree along the path |
//! | text inside a regular expression | automaton over the path |
//! | header or query parameter: its value, its beginning, a text in it, its presence | by name, the same three |
//! | host, exact or one label below; method; region | hash table |
//! | network of the client | hash table, once for each length of prefix in use |
//! | none of these: absence, expressions without literal parts | one list for all requests |
//!
//! A look-up allocates nothing, except for escaped query values of more than a KiB.

mod filing;
mod key;
mod lists;
mod networks;
mod parts;
#[cfg(test)]
pub(super) mod samples;
mod search;
mod texts;
mod trie;

use std::collections::BTreeMap;

use filing::Filing;
use key::{Key, Source};
use lists::{ListId, Listed, Lists};
pub(super) use lists::{Place, Proven};
use networks::Networks;
use parts::Parts;
pub(super) use search::Tried;
use texts::{Named, NewEntry, Table, table};
use trie::Trie;

use super::literals::KnownLiterals;
use crate::content::{Criteria, PathPattern};

/// Rules by what they ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    lists: Lists,
    paths: Table<Box<[u8]>>,
    below: Trie,
    starts: Trie,
    parts: Parts,
    headers: Named,
    query: Named,
    hosts: Table<Box<str>>,
    domains: Table<Box<str>>,
    networks: Networks,
    methods: Table<Box<str>>,
    regions: Table<Box<str>>,
    rest: Option<ListId>,
}

impl Index {
    /// Files the rules with these criteria, which are in the order in which they are tried, by what is
    /// known of the patterns in them.
    pub(super) fn new(rules: &[&Criteria], known: &KnownLiterals<'_>) -> Self {
        Sorted::of(filing::file(rules, known), rules).index()
    }
}

/// Keys by their kinds, with their lists.
#[derive(Default)]
struct Sorted<'a> {
    lists: Lists,
    paths: Vec<(&'a [u8], ListId)>,
    below: Vec<(&'a [u8], ListId)>,
    starts: Vec<(&'a [u8], ListId)>,
    parts: Vec<(&'a [u8], ListId)>,
    headers: BTreeMap<&'a str, NewEntry<'a>>,
    query: BTreeMap<&'a str, NewEntry<'a>>,
    hosts: Vec<(&'a str, ListId)>,
    domains: Vec<(&'a str, ListId)>,
    networks: Vec<(crate::model::IpRange, ListId)>,
    methods: Vec<(&'a str, ListId)>,
    regions: Vec<(&'a str, ListId)>,
    rest: Vec<Place>,
}

impl<'a> Sorted<'a> {
    fn of(filing: Filing<'a>, rules: &[&Criteria]) -> Self {
        let mut sorted = Self {
            rest: filing.rest,
            ..Self::default()
        };
        for entries in filing.entries.chunk_by(|(one, _), (other, _)| one == other) {
            let key = filing.keys[entries[0].0 as usize];
            let listed = entries.iter().map(|(_, place)| {
                let proven = if key.is_of_path() {
                    proven_by_path(rules[*place as usize])
                } else {
                    Proven::Nothing
                };
                Listed::new(*place, proven)
            });
            let list = sorted.lists.push(listed);
            sorted.put(key, list);
        }
        sorted
    }

    fn put(&mut self, key: Key<'a>, list: ListId) {
        match key {
            Key::Path(path) => self.paths.push((path, list)),
            Key::PathBelow(path) => self.below.push((path, list)),
            Key::PathStart(start) => self.starts.push((start, list)),
            Key::PathPart(part) => self.parts.push((part, list)),
            Key::Value(source, name, value) => self.entry(source, name).whole.push((value, list)),
            Key::ValueStart(source, name, start) => {
                self.entry(source, name).starts.push((start, list));
            }
            Key::ValuePart(source, name, part) => {
                self.entry(source, name).parts.push((part, list));
            }
            Key::Present(source, name) => self.entry(source, name).present = Some(list),
            Key::Method(method) => self.methods.push((method, list)),
            Key::Region(region) => self.regions.push((region, list)),
            Key::Host(host) => self.hosts.push((host, list)),
            Key::HostBelow(domain) => self.domains.push((domain, list)),
            Key::Network(network) => self.networks.push((network, list)),
        }
    }

    fn entry(&mut self, source: Source, name: &'a str) -> &mut NewEntry<'a> {
        match source {
            Source::Header => self.headers.entry(name).or_default(),
            Source::Query => self.query.entry(name).or_default(),
        }
    }

    fn index(mut self) -> Index {
        let rest = self
            .rest
            .into_iter()
            .map(|place| Listed::new(place, Proven::Nothing));
        let rest = (rest.len() > 0).then(|| self.lists.push(rest));
        Index {
            lists: self.lists,
            paths: table(self.paths),
            below: Trie::new(self.below),
            starts: Trie::new(self.starts),
            parts: Parts::new(&self.parts),
            headers: Named::new(self.headers),
            query: Named::new(self.query),
            hosts: table(self.hosts),
            domains: table(self.domains),
            networks: Networks::new(self.networks),
            methods: table(self.methods),
            regions: table(self.regions),
            rest,
        }
    }
}

/// What is known of a rule with these criteria where it is filed by its path and that is found. A key may
/// say less of a path than the expression that it was made of.
fn proven_by_path(criteria: &Criteria) -> Proven {
    let Criteria {
        path,
        method,
        region,
        header,
        query,
        host,
        ip_cidr,
    } = criteria;
    if path
        .iter()
        .any(|path| matches!(path, PathPattern::Regex(_)))
    {
        return Proven::Nothing;
    }
    let asks_nothing_else = method.is_empty()
        && region.is_empty()
        && header.is_empty()
        && query.is_empty()
        && host.is_empty()
        && ip_cidr.is_empty();
    if asks_nothing_else {
        Proven::All
    } else {
        Proven::Path
    }
}

#[cfg(test)]
mod tests;
