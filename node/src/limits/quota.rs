//! How much a plan allows. Whether it is kept to is the windows' matter.

use domain::model::Plan;

use crate::settings::LimitSettings;

/// What a caller may do in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Requests with one key.
    pub(crate) requests: u32,
    /// New rules on one route.
    pub(crate) route_mutations: u32,
}

/// New rules on one route in a minute, unless the plan has a number of its own.
const ROUTE_MUTATIONS: u32 = 30;

impl Quota {
    /// The quota of a plan.
    pub(crate) fn of(plan: Plan, settings: &LimitSettings) -> Self {
        let fixed = |requests| Self {
            requests,
            route_mutations: ROUTE_MUTATIONS,
        };
        match plan {
            Plan::Free => fixed(60),
            Plan::Starter => fixed(300),
            Plan::Growth => fixed(1_200),
            Plan::Enterprise => Self {
                requests: settings.enterprise_requests_per_minute,
                route_mutations: settings.enterprise_route_mutations_per_minute,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract: R-71, D-20.
    #[test]
    fn each_plan_has_its_quota_and_enterprise_takes_it_from_the_settings() {
        let settings = LimitSettings {
            enterprise_requests_per_minute: 5,
            enterprise_route_mutations_per_minute: 6,
            ..LimitSettings::default()
        };
        for (plan, expect) in [
            (Plan::Free, (60, 30)),
            (Plan::Starter, (300, 30)),
            (Plan::Growth, (1_200, 30)),
            (Plan::Enterprise, (5, 6)),
        ] {
            let quota = Quota::of(plan, &settings);
            assert_eq!((quota.requests, quota.route_mutations), expect, "{plan:?}");
        }
    }
}
