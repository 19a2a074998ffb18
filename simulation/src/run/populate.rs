//! Puts every host on the network: nodes, edges, strangers, and one host of all clients.

use std::sync::Arc;
use std::time::Duration;

use super::Run;
use crate::hosts::{self, HERD, ORIGIN, ROGUE, SCRIPT};
use crate::network::SimNetwork;
use crate::options::{CALM, Options};
use crate::ports::SimEntropy;
use crate::scenarios::{Scenario, Script};
use crate::workload::{self, Client};
use crate::world::CLIENTS;

/// Pause between two attempts at bootstrapping.
const BOOTSTRAP_PAUSE: Duration = Duration::from_millis(300);

impl Run<'_> {
    /// Registers every host.
    pub(super) fn populate(&mut self, options: &Options) {
        for index in 0..options.nodes() {
            let fleet = self.fleet.clone();
            self.sim
                .host(hosts::node(index), move || fleet.clone().run_node(index));
        }
        for index in 0..options.edges {
            let fleet = self.fleet.clone();
            self.sim
                .host(hosts::edge(index), move || fleet.clone().run_edge(index));
        }
        if options.herd > 0 {
            let fleet = self.fleet.clone();
            self.sim.host(HERD, move || fleet.clone().run_herd());
        }
        for index in 0..options.receivers {
            let receiver = self.fleet.receiver(index).clone();
            self.sim
                .host(hosts::receiver(index), move || receiver.clone().run());
        }
        let fleet = self.fleet.clone();
        self.sim.host(ROGUE, move || fleet.clone().run_rogue());
        self.sim.host(ORIGIN, workload::origin);
        self.clients(options);
        if let Some(scenario) = options.scenario {
            self.script(scenario, options.seed);
        }
    }

    /// One host for all clients: each has a network of its own entropy, and none is cut off.
    fn clients(&mut self, options: &Options) {
        let seed = options.seed;
        let operator = self.operator();
        let fleet = self.fleet.clone();
        let clients = (0..options.clients).map(|index| {
            let network = network(seed, &format!("client-{index}"));
            Client::new(index, seed, network, self.shared.clone())
        });
        let clients: Vec<_> = clients.collect();
        let finished = Arc::clone(&self.finished);
        let shared = self.shared.clone();
        let edges = options.edges;
        self.sim.client(CLIENTS, async move {
            let mut tasks = vec![tokio::task::spawn_local(operator)];
            for (index, mut client) in clients.into_iter().enumerate() {
                let finished = Arc::clone(&finished);
                tasks.push(tokio::task::spawn_local(async move {
                    if index == 0 {
                        client.prepare().await;
                    }
                    client.work().await;
                    client.prove_liveness().await;
                    finished.lock().insert(index);
                }));
            }
            let winding_up = Arc::clone(&shared.winding_up);
            tasks.push(tokio::task::spawn_local(async move {
                fleet.change_members(|| *winding_up.lock()).await;
            }));
            for index in 0..edges {
                let network = network(seed, &format!("probe-{index}"));
                let probing = workload::probe(index, network, shared.clone());
                tasks.push(tokio::task::spawn_local(probing));
            }
            for task in tasks {
                task.await?;
            }
            Ok(())
        });
    }

    /// Plays a scenario beside the clients, once the cluster was left alone for a while.
    fn script(&mut self, scenario: Scenario, seed: u64) {
        let script = Script {
            fleet: self.fleet.clone(),
            shared: self.shared.clone(),
            network: network(seed, "script"),
        };
        let played = Arc::clone(&self.played);
        self.sim.client(SCRIPT, async move {
            tokio::time::sleep(CALM).await;
            let ended = (scenario.play)(script).await;
            *played.lock() = Some(ended);
            Ok(())
        });
    }

    /// Bootstraps the cluster.
    fn operator(&self) -> impl Future<Output = ()> + use<> {
        let (fleet, shared) = (self.fleet.clone(), self.shared.clone());
        let environment = Arc::clone(&self.environment);
        async move {
            loop {
                match fleet.bootstrap().await {
                    Ok((keys, id)) => {
                        fleet.rogue().claim(id.clone());
                        *environment.lock() = Some(id);
                        *shared.api_keys.lock() = keys;
                        return;
                    }
                    Err(_) => tokio::time::sleep(BOOTSTRAP_PAUSE).await,
                }
            }
        }
    }
}

fn network(seed: u64, name: &str) -> SimNetwork {
    SimNetwork::new(Arc::new(SimEntropy::new(seed, name)))
}
