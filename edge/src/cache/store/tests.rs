//! The store: what is found, who leads and who waits, and that memory is bounded.

use bytes::Bytes;
use domain::model::Mode;
use http::StatusCode;

use super::super::body::Body;
use super::super::flight::{Landed, wait};
use super::super::freshness::Times;
use super::super::storing::keep;
use super::super::testing::{CAME_MS, fields, get, rules};
use super::*;

struct World {
    cache: Arc<Cache>,
    rules: Rules,
    now_ms: u64,
}

fn world(memory_bytes: u64) -> World {
    let settings = CacheSettings {
        memory_bytes,
        entry_bytes_max: memory_bytes,
    };
    World {
        cache: Arc::new(Cache::new(settings, [7; 16])),
        rules: rules(Mode::Balanced),
        now_ms: CAME_MS,
    }
}

impl World {
    fn spot<'a>(&self, key: &'a str, section: &'a str) -> Spot<'a> {
        Spot {
            hash: self.cache.hash(key.as_bytes()),
            key: key.as_bytes(),
            section: section.as_bytes(),
        }
    }

    fn ask(&self, key: &str, request: &[&str], company: Company) -> Step {
        self.ask_in(key, "rule", request, company)
    }

    fn ask_in(&self, key: &str, section: &str, request: &[&str], company: Company) -> Step {
        let question = Question {
            spot: self.spot(key, section),
            asked: &get(request),
            request: &fields(request),
            rules: &self.rules,
            now_ms: self.now_ms,
        };
        self.cache.ask(&question, company)
    }

    fn lead(&self, key: &str) -> Lead {
        match self.ask(key, &[], Company::Wait) {
            Step::Ask(_, Some(lead)) => lead,
            other => panic!("{other:?}"),
        }
    }

    fn keep(&self, key: &str, request: &[&str], answer: &[&str], body: &str) -> Arc<Stored> {
        let headers = fields(answer);
        let times = Times {
            asked_ms: self.now_ms,
            came_ms: self.now_ms,
        };
        let kept = keep(&get(request), StatusCode::OK, &headers, &self.rules, times).unwrap();
        let stored = Arc::new(Stored::new(
            self.cache.number(),
            self.spot(key, "rule").to_place(),
            &fields(request),
            (StatusCode::OK, headers, kept),
            Body::of(Bytes::copy_from_slice(body.as_bytes())),
        ));
        let changes = self.cache.changes(stored.place.hash);
        self.cache.insert(&stored, changes);
        stored
    }

    /// The body that a request is served, or what else it is to do.
    fn served(&self, key: &str, request: &[&str]) -> String {
        match self.ask(key, request, Company::Alone) {
            Step::Serve(stored, _) => {
                let bytes = stored.body.whole().unwrap().bytes.to_vec();
                String::from_utf8(bytes).unwrap()
            }
            Step::ServeAndRefresh(..) => "refresh".to_owned(),
            Step::Ask(Some(_), _) => "confirm".to_owned(),
            Step::Ask(None, _) => "ask".to_owned(),
            Step::Wait(_) => "wait".to_owned(),
        }
    }
}

const FRESH: &[&str] = &["cache-control: max-age=10"];

#[test]
fn an_answer_is_found_by_url_section_and_selection() {
    let world = world(1 << 20);
    world.keep(
        "a",
        &["accept: x"],
        &["cache-control: max-age=10", "vary: accept"],
        "x",
    );
    world.keep(
        "a",
        &["accept: y"],
        &["cache-control: max-age=10", "vary: accept"],
        "y",
    );
    assert_eq!(world.served("a", &["accept: x"]), "x");
    assert_eq!(world.served("a", &["accept: y"]), "y");
    assert_eq!(world.served("a", &["accept: z"]), "ask");
    assert_eq!(world.served("b", &["accept: x"]), "ask");
    assert!(matches!(
        world.ask_in("a", "other", &["accept: x"], Company::Alone),
        Step::Ask(None, None)
    ));
    world.keep(
        "a",
        &["accept: x"],
        &["cache-control: max-age=10", "vary: accept"],
        "new",
    );
    assert_eq!(world.served("a", &["accept: x"]), "new");
    assert_eq!(world.cache.usage().entries, 2);
}

#[test]
fn credentials_get_only_what_is_for_everybody() {
    let world = world(1 << 20);
    world.keep("a", &[], FRESH, "anonymous");
    assert_eq!(world.served("a", &["authorization: x"]), "ask");
    world.keep("a", &[], &["cache-control: max-age=10, public"], "public");
    assert_eq!(world.served("a", &["authorization: x"]), "public");
}

#[test]
fn one_leads_and_the_others_wait() {
    let world = world(1 << 20);
    let lead = world.lead("a");
    let waiting =
        |request: &[&str], company| matches!(world.ask("a", request, company), Step::Wait(_));
    assert!(waiting(&[], Company::Wait));
    assert!(waiting(&["accept: x"], Company::Wait));
    for alone in [
        "authorization: x",
        "cache-control: no-store",
        "range: bytes=0-1",
        "if-none-match: \"a\"",
    ] {
        assert!(!waiting(&[alone], Company::Wait), "{alone}");
    }
    assert!(!waiting(&[], Company::Lead) && !waiting(&[], Company::Alone));
    assert!(matches!(
        world.ask("a", &[], Company::Lead),
        Step::Ask(None, None)
    ));
    assert!(matches!(
        world.ask_in("a", "other", &[], Company::Wait),
        Step::Ask(None, Some(_))
    ));
    drop(lead);
    assert!(matches!(
        world.ask("a", &[], Company::Lead),
        Step::Ask(None, Some(_))
    ));
}

#[tokio::test]
async fn those_who_wait_learn_how_it_ended() {
    let world = world(1 << 20);
    for landed in [Some(Landed::Kept), Some(Landed::NotKept), None] {
        let lead = world.lead("a");
        let Step::Wait(waiting) = world.ask("a", &[], Company::Wait) else {
            panic!("somebody leads");
        };
        match landed {
            Some(landed) => lead.land(landed),
            None => drop(lead),
        }
        assert_eq!(wait(waiting).await, landed.unwrap_or(Landed::Gone));
    }
}

#[test]
fn a_stale_answer_is_served_while_one_fetches_anew() {
    let mut world = world(1 << 20);
    world.keep(
        "a",
        &[],
        &["cache-control: max-age=10, stale-while-revalidate=20"],
        "old",
    );
    world.now_ms += 15_000;
    let Step::ServeAndRefresh(_, standing, lead) = world.ask("a", &[], Company::Wait) else {
        panic!("it is to be refreshed");
    };
    assert!(!standing.usable && standing.while_revalidating);
    assert_eq!(world.served("a", &[]), "old");
    drop(lead);
    assert_eq!(world.served("a", &[]), "refresh");
}

#[test]
fn what_must_be_confirmed_each_time_makes_nobody_wait() {
    let world = world(1 << 20);
    world.keep("a", &[], &["cache-control: no-cache", "etag: \"a\""], "x");
    for _ in 0..2 {
        assert!(matches!(
            world.ask("a", &[], Company::Wait),
            Step::Ask(Some(_), None)
        ));
    }
    world.keep("b", &[], FRESH, "x");
    let refused = world.ask("b", &["cache-control: no-cache"], Company::Wait);
    assert!(matches!(refused, Step::Ask(Some(_), None)));
}

#[test]
fn where_the_origin_goes_first_everybody_asks() {
    let mut world = world(1 << 20);
    world.rules = rules(Mode::OriginFirst);
    assert!(matches!(
        world.ask("a", &[], Company::Wait),
        Step::Ask(None, None)
    ));
    world.keep("a", &[], FRESH, "x");
    assert!(matches!(
        world.ask("a", &[], Company::Wait),
        Step::Ask(Some(_), None)
    ));
}

#[test]
fn a_change_takes_what_is_kept_and_what_is_on_its_way() {
    let world = world(1 << 20);
    world.keep(
        "a",
        &[],
        &["cache-control: max-age=10", "vary: accept"],
        "x",
    );
    world.keep("b", &[], FRESH, "y");
    let lead = match world.ask("a", &["accept: z"], Company::Wait) {
        Step::Ask(None, Some(lead)) => lead,
        other => panic!("{other:?}"),
    };
    world.cache.invalidate(world.spot("a", "rule").hash);
    assert!(lead.is_outdated());
    assert_eq!(world.served("a", &[]), "ask");
    assert_eq!(world.served("b", &[]), "y");
    assert!(!world.lead("c").is_outdated());
}

#[test]
fn what_was_asked_for_before_a_change_is_not_kept_after_it() {
    let world = world(1 << 20);
    let hash = world.spot("a", "rule").hash;
    let before = world.cache.changes(hash);
    let stored = world.keep("a", &[], FRESH, "old");
    world.cache.invalidate(hash);
    assert!(!world.cache.insert(&stored, before));
    world.cache.purge(&|_| false);
    assert_eq!(world.served("a", &[]), "ask");
    assert!(world.cache.changes(hash) > before + 1);
}

#[test]
fn a_change_of_one_url_does_not_keep_the_answer_for_another_from_being_kept() {
    let world = world(1 << 20);
    let hash = world.spot("a", "rule").hash;
    let before = world.cache.changes(hash);
    let stored = world.keep("a", &[], FRESH, "new");
    // Enough for some to be in the same shard.
    for other in 0..1_000 {
        let key = format!("other/{other}");
        world.cache.invalidate(world.spot(&key, "rule").hash);
    }
    assert!(world.cache.insert(&stored, before));
}

#[test]
fn a_purge_takes_what_it_is_about_and_nothing_else() {
    let world = world(1 << 20);
    for key in ["a/1", "a/2", "b/1"] {
        world.keep(key, &[], FRESH, key);
    }
    let lead = world.lead("a/3");
    world.cache.purge(&|key| key.starts_with(b"a/"));
    assert!(lead.is_outdated());
    for (key, expect) in [("a/1", "ask"), ("a/2", "ask"), ("b/1", "b/1")] {
        assert_eq!(world.served(key, &[]), expect);
    }
    assert_eq!(world.cache.usage().entries, 1);
}

#[test]
fn a_url_is_marked_only_while_nothing_is_kept_for_it() {
    let world = world(1 << 20);
    let hash = world.spot("a", "rule").hash;
    let known = || world.cache.marks.check(hash, CAME_MS);
    world.cache.mark(hash, CAME_MS);
    assert_eq!(known(), super::super::marks::Known::NotKept);
    world.keep("a", &[], FRESH, "x");
    assert_eq!(known(), super::super::marks::Known::Nothing);
    world.cache.mark(hash, CAME_MS);
    assert_eq!(known(), super::super::marks::Known::Nothing);
}

#[test]
fn memory_is_bounded_whatever_is_kept_and_given_up() {
    const MEMORY: u64 = 64 * 1024;
    let world = world(MEMORY);
    let body = "x".repeat(1_000);
    for number in 0..500 {
        let stored = world.keep(&number.to_string(), &[], FRESH, &body);
        if number % 7 == 0 {
            assert!(world.cache.grow(&stored, 500));
        }
        if number % 5 == 0 {
            world.cache.remove(&stored);
            assert!(!world.cache.grow(&stored, 500));
        }
        let usage = world.cache.usage();
        assert!(usage.bytes <= MEMORY, "{usage:?}");
    }
    let usage = world.cache.usage();
    assert!(usage.evictions > 300 && usage.entries > 20, "{usage:?}");
    for number in 0..500 {
        world
            .cache
            .invalidate(world.spot(&number.to_string(), "rule").hash);
    }
    let usage = world.cache.usage();
    assert_eq!((usage.entries, usage.bytes), (0, 0));
}

#[test]
fn threads_that_come_and_go_leave_nothing_behind() {
    let world = world(32 * 1024);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let world = &world;
            scope.spawn(move || {
                for step in 0..500 {
                    let key = ((step * 7 + thread * 13) % 40).to_string();
                    match world.ask(&key, &[], Company::Wait) {
                        Step::Ask(_, lead) => {
                            world.keep(&key, &[], FRESH, &"x".repeat(step));
                            if let Some(lead) = lead {
                                lead.land(Landed::Kept);
                            }
                        }
                        Step::Serve(stored, _) if step % 11 == 0 => world.cache.remove(&stored),
                        _ => world.cache.invalidate(world.spot(&key, "rule").hash),
                    }
                }
            });
        }
    });
    for number in 0..40 {
        world
            .cache
            .invalidate(world.spot(&number.to_string(), "rule").hash);
    }
    let usage = world.cache.usage();
    assert_eq!((usage.entries, usage.bytes), (0, 0));
}
