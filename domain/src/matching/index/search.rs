//! One look-up.

use std::hash::Hash;

use super::lists::{ListId, Place, Proven};
use super::{Index, Named, Table};
use crate::matching::query::QueryPair;
use crate::matching::request::{Headers, Request};

/// How many of the lists that it went through last a look-up remembers. A request that repeats a
/// header, a parameter or a part of its path a thousand times would otherwise have the same rules
/// tried a thousand times. More than these are rarely found; each costs a comparison per list.
const REMEMBERED_MAX: usize = 32;

/// What came of trying a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::matching) enum Tried {
    /// It is what is looked for.
    Yes,
    /// It is not.
    No,
    /// It is not, and nothing more is to be tried.
    Enough,
}

impl Index {
    /// The first rule before `end` for which `holds` says yes, of those that may take a request; it is told
    /// what is proven of it.
    /// Every rule that takes it and that no earlier one of the same criteria or without criteria
    /// precedes is asked, unless a better one is found before.
    pub(in crate::matching) fn first<H: Headers + ?Sized>(
        &self,
        request: &Request<'_, H>,
        end: Place,
        holds: impl FnMut(Place, Proven) -> Tried,
    ) -> Option<Place> {
        let mut search = Search {
            index: self,
            best: end,
            ended: false,
            holds,
            remembered: [ListId::default(); REMEMBERED_MAX],
            lists: 0,
        };
        search.path(request.path);
        search.headers(request.headers);
        search.query(request.query);
        search.connection(request);
        search.table(&self.methods, request.method);
        search.table(&self.regions, request.region);
        if let Some(rest) = self.rest {
            search.list(rest);
        }
        (search.best < end && !search.ended).then_some(search.best)
    }
}

struct Search<'i, F> {
    index: &'i Index,
    /// Nothing from here on is of interest any more.
    best: Place,
    /// Whether somebody has had enough.
    ended: bool,
    holds: F,
    /// A ring of the lists that were gone through last.
    remembered: [ListId; REMEMBERED_MAX],
    /// How many lists there were.
    lists: usize,
}

impl<F: FnMut(Place, Proven) -> Tried> Search<'_, F> {
    fn list(&mut self, id: ListId) {
        if !self.is_new(id) {
            return;
        }
        for listed in self.index.lists.get(id) {
            let place = listed.place();
            if place >= self.best {
                return;
            }
            match (self.holds)(place, listed.proven()) {
                Tried::Yes => self.best = place,
                Tried::No => {}
                Tried::Enough => {
                    self.ended = true;
                    self.best = 0;
                }
            }
        }
    }

    fn is_new(&mut self, id: ListId) -> bool {
        let known = &self.remembered[..self.lists.min(REMEMBERED_MAX)];
        if known.contains(&id) {
            return false;
        }
        self.remembered[self.lists % REMEMBERED_MAX] = id;
        self.lists += 1;
        true
    }

    fn table<K: ?Sized + Hash + Eq>(&mut self, table: &Table<Box<K>>, key: &K) {
        if table.is_empty() {
            return;
        }
        if let Some(list) = table.get(key) {
            self.list(*list);
        }
    }

    fn path(&mut self, path: &str) {
        let index = self.index;
        self.table(&index.paths, path.as_bytes());
        if !index.below.is_empty() {
            index.below.walk(path.as_bytes(), |found| {
                if ends_a_segment(path.as_bytes(), found.length) {
                    self.list(found.list);
                }
            });
        }
        if !index.starts.is_empty() {
            index
                .starts
                .walk(path.as_bytes(), |found| self.list(found.list));
        }
        index.parts.visit(path.as_bytes(), |list| self.list(list));
    }

    fn headers<H: Headers + ?Sized>(&mut self, headers: &H) {
        let named = &self.index.headers;
        if named.is_empty() {
            return;
        }
        headers.each(&mut |name, value| self.value(named, name.as_bytes(), value));
    }

    fn query(&mut self, query: &str) {
        let named = &self.index.query;
        if named.is_empty() || query.is_empty() {
            return;
        }
        for pair in QueryPair::all(query) {
            pair.name.with(|name| {
                if !named.is_unknown(name) {
                    pair.value.with(|value| self.value(named, name, value));
                }
            });
        }
    }

    fn value(&mut self, named: &Named, name: &[u8], value: &[u8]) {
        if !named.is_unknown(name) {
            named.visit(name, value, &mut |list| self.list(list));
        }
    }

    fn connection<H: ?Sized>(&mut self, request: &Request<'_, H>) {
        let index = self.index;
        self.table(&index.hosts, request.host);
        if !index.domains.is_empty()
            && let Some((label, domain)) = request.host.split_once('.')
            && !label.is_empty()
        {
            self.table(&index.domains, domain);
        }
        if !index.networks.is_empty() {
            index.networks.visit(request.client, |list| self.list(list));
        }
    }
}

/// Whether a path's segment ends where a prefix of it ends, or the prefix is all of it.
fn ends_a_segment(path: &[u8], length: usize) -> bool {
    matches!(path.get(length), None | Some(b'/')) || path[..length].ends_with(b"/")
}
