//! Names over a network that answers as it is told.

use std::io;

use platform::TokioNetwork;
use tokio::task::LocalSet;

use super::*;

/// Answers for names what stands here.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answer: Option<Vec<SocketAddr>>,
    asked: usize,
}

impl Network for Scripted {
    type Stream = <TokioNetwork as Network>::Stream;
    type Listener = <TokioNetwork as Network>::Listener;

    async fn connect(&self, to: &str) -> io::Result<Self::Stream> {
        TokioNetwork.connect(to).await
    }

    async fn listen(&self, on: SocketAddr) -> io::Result<Self::Listener> {
        TokioNetwork.listen(on).await
    }

    fn quic(
        &self,
        on: SocketAddr,
        server: Option<quinn::ServerConfig>,
    ) -> io::Result<quinn::Endpoint> {
        TokioNetwork.quic(on, server)
    }

    async fn resolve(&self, _: &str) -> io::Result<Vec<SocketAddr>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn lookup(&self, _: &str) -> io::Result<Lookup> {
        let mut script = self.0.lock();
        script.asked += 1;
        let addresses = script.answer.clone();
        addresses
            .map(|addresses| Lookup {
                addresses,
                ttl: Duration::from_secs(60),
            })
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 80))
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[test]
fn only_names_are_resolved() {
    let names = Names::default();
    for (authority, is_name) in [
        ("192.0.2.1:80", false),
        ("[2001:db8::1]:80", false),
        ("a.example:80", true),
        ("localhost:80", true),
    ] {
        assert_eq!(names.of(authority).is_some(), is_name, "{authority}");
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_renewed_and_what_was_known_goes_on() {
    LocalSet::new().run_until(renewed()).await;
}

async fn renewed() {
    let (network, names) = (Scripted::default(), Arc::<Names>::default());
    let refreshing = tokio::task::spawn_local(refresh(network.clone(), Arc::clone(&names)));
    network.0.lock().answer = Some(vec![address(1)]);
    let addresses = names.of("a.example:80").unwrap();
    seconds(1).await;
    assert_eq!(addresses.in_turn(), [address(1)]);
    network.0.lock().answer = Some(vec![address(2)]);
    seconds(50).await;
    assert_eq!(addresses.in_turn(), [address(1)]);
    seconds(10).await;
    assert_eq!(addresses.in_turn(), [address(2)]);
    // Nobody answers any more.
    network.0.lock().answer = None;
    seconds(600).await;
    assert_eq!(addresses.in_turn(), [address(2)]);
    // A name that nobody uses is asked for no more.
    drop(addresses);
    seconds(60).await;
    let asked = network.0.lock().asked;
    seconds(600).await;
    assert_eq!(network.0.lock().asked, asked);
    refreshing.abort();
}
