//! That certificates and API keys expire soon. The first look is at once, the others are far apart and each
//! at a page: when something is told is a matter of days.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::command::{Command, TellExpiries};
use domain::id::EnvironmentId;
use domain::limits::EXPIRIES_MAX;
use domain::model::Expiring;
use domain::query::{self, ExpiryPlace};
use domain::rows::View;
use tokio::time::Instant;

use super::Runner;

/// How far two looks are apart: an environment's certificates are all looked at within minutes.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How far was looked.
#[derive(Debug, Default)]
pub(super) struct Ends {
    place: ExpiryPlace,
    looked: Option<Instant>,
}

impl Runner {
    pub(super) async fn expiries(&mut self) {
        if self.ends.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return;
        }
        self.ends.looked = Some(Instant::now());
        let place = std::mem::take(&mut self.ends.place);
        let wall = self.parts.clock.now();
        let look = |view: &dyn View| {
            let at = wall.max(query::log_time(view));
            query::expiring(view, place, at)
        };
        let Some(((due, next), now)) = self.read(look) else {
            return;
        };
        self.ends.place = next;
        let mut by_environment = BTreeMap::<EnvironmentId, Vec<Expiring>>::new();
        for (environment, of) in due {
            by_environment.entry(environment).or_default().push(of);
        }
        for (environment_id, of) in by_environment {
            for of in of.chunks(EXPIRIES_MAX) {
                let (environment_id, of) = (environment_id.clone(), of.to_vec());
                let tell = TellExpiries { environment_id, of };
                self.parts.propose(now, Command::TellExpiries(tell)).await;
            }
        }
    }
}
