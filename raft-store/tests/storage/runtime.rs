//! openraft's own suite for asynchronous runtimes.

use raft_store::Runtime;

#[test]
fn the_runtime_passes_the_suite() {
    let mut runtime = <Runtime as openraft::AsyncRuntime>::new(1);
    openraft::testing::runtime::Suite::<Runtime>::test_all_on(&mut runtime);
}
