//! The workspace that every test works in, as bootstrap makes it.

use domain::command::{Bootstrap, Command, NewEnvironment, Stamped};
use domain::id::{ApiKeyId, EnvironmentId, OrgId, RequestId, Seed, WorkspaceId};
use domain::model::{ApiVersion, KeyHash, Plan};
use domain::time::Timestamp;

use super::support::{MemoryControl, START_MS};

/// Makes it, with a key for each of its environments.
pub(super) fn bootstrap(
    control: &MemoryControl,
    seed: &dyn Fn() -> Seed,
    live_key_id: &ApiKeyId,
    (live, test): (&KeyHash, &KeyHash),
    pepper_check: KeyHash,
) {
    let environment = |key_id, key_hash: &KeyHash| NewEnvironment {
        id: EnvironmentId::new(seed()),
        key_id,
        key_hash: *key_hash,
    };
    let command = Command::Bootstrap(Box::new(Bootstrap {
        org_id: OrgId::new(seed()),
        workspace_id: WorkspaceId::new(seed()),
        workspace_name: "main".to_owned(),
        plan: Plan::Enterprise,
        api_version: ApiVersion("2026-01-14".to_owned()),
        production: environment(live_key_id.clone(), live),
        sandbox: environment(ApiKeyId::new(seed()), test),
        pepper_check,
    }));
    let stamped = Stamped {
        at: Timestamp(START_MS),
        request_id: RequestId::new(seed()),
        idempotency: None,
        command,
        origin: Default::default(),
        precondition: None,
    };
    control.apply(&stamped).reply.unwrap();
}
