//! One question at a time, shared by all who want its answer.
//!
//! Whoever comes while a question is under way shares the *next* one. Sharing the one under way
//! would be wrong: it may have been answered before a write that the newcomer already knows to
//! be acknowledged.

use std::future::Future;
use std::sync::Arc;

use domain::time::Revision;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Something that is asked again and again.
pub(crate) trait Question: Send + Sync + 'static {
    /// Asks once. It has a deadline of its own; an error is for people.
    fn ask(&self) -> impl Future<Output = Result<Revision, String>> + Send;

    /// Rests after a failure.
    fn pause(&self) -> impl Future<Output = ()> + Send;
}

/// Rounds of a question. Cloning shares them.
pub(crate) struct Rounds<Q> {
    shared: Arc<Shared<Q>>,
}

struct Shared<Q> {
    question: Q,
    queue: Mutex<Queue>,
    outcome: Mutex<LastOutcome>,
}

/// Those who wait for the next round. Each is a reader with a deadline of its own, so there are
/// never more of them than requests under way.
#[derive(Default)]
struct Queue {
    asking: bool,
    waiting: Vec<oneshot::Sender<Result<Revision, String>>>,
}

#[derive(Default)]
struct LastOutcome {
    /// When the last question that was answered was asked.
    confirmed: Option<Instant>,
    failure: String,
}

impl<Q> Clone for Rounds<Q> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<Q: Question> Rounds<Q> {
    pub(crate) fn new(question: Q) -> Self {
        let shared = Shared {
            question,
            queue: Mutex::default(),
            outcome: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The answer to a question that is asked after now. It is asked until there is one, so the
    /// caller brings the deadline.
    pub(crate) async fn get(&self) -> Revision {
        loop {
            match self.once().await {
                Ok(index) => return index,
                Err(_) => self.shared.question.pause().await,
            }
        }
    }

    /// The answer to a question that is asked after now, once.
    ///
    /// # Errors
    /// When that question is not answered.
    pub(crate) async fn once(&self) -> Result<Revision, String> {
        let (sender, answer) = oneshot::channel();
        let ask = {
            let mut queue = self.shared.queue.lock();
            queue.waiting.push(sender);
            !std::mem::replace(&mut queue.asking, true)
        };
        if ask {
            tokio::spawn(ask_until_nobody_waits(Arc::clone(&self.shared)));
        }
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err("the node is shutting down".to_owned()),
        }
    }

    /// Why there was no answer the last time, for people.
    pub(crate) fn last_failure(&self) -> String {
        self.shared.outcome.lock().failure.clone()
    }

    /// When the last question that was answered was asked.
    pub(crate) fn last_confirmed(&self) -> Option<Instant> {
        self.shared.outcome.lock().confirmed
    }
}

async fn ask_until_nobody_waits<Q: Question>(shared: Arc<Shared<Q>>) {
    loop {
        let waiting = {
            let mut queue = shared.queue.lock();
            queue.waiting.retain(|sender| !sender.is_closed());
            if queue.waiting.is_empty() {
                queue.asking = false;
                return;
            }
            std::mem::take(&mut queue.waiting)
        };
        let asked_at = Instant::now();
        let answer = shared.question.ask().await;
        {
            let mut outcome = shared.outcome.lock();
            match &answer {
                Ok(_) => outcome.confirmed = Some(asked_at),
                Err(failure) => outcome.failure.clone_from(failure),
            }
        }
        for sender in waiting {
            // Whoever gave up waiting is not there any more.
            let _ = sender.send(answer.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// Says when it is asked, and answers with what it is given.
    struct Scripted {
        asked: mpsc::UnboundedSender<()>,
        answers: tokio::sync::Mutex<mpsc::UnboundedReceiver<Result<Revision, String>>>,
        paused: Semaphore,
    }

    impl Question for Scripted {
        async fn ask(&self) -> Result<Revision, String> {
            self.asked.send(()).unwrap();
            self.answers.lock().await.recv().await.unwrap()
        }

        async fn pause(&self) {
            self.paused.add_permits(1);
        }
    }

    struct Stage {
        rounds: Rounds<Scripted>,
        asked: mpsc::UnboundedReceiver<()>,
        answers: mpsc::UnboundedSender<Result<Revision, String>>,
    }

    impl Stage {
        fn new() -> Self {
            let (asked_tx, asked) = mpsc::unbounded_channel();
            let (answers, given) = mpsc::unbounded_channel();
            let answers_rx = tokio::sync::Mutex::new(given);
            let rounds = Rounds::new(Scripted {
                asked: asked_tx,
                answers: answers_rx,
                paused: Semaphore::new(0),
            });
            Self {
                rounds,
                asked,
                answers,
            }
        }

        fn reader(&self) -> tokio::task::JoinHandle<Revision> {
            let rounds = self.rounds.clone();
            tokio::spawn(async move { rounds.get().await })
        }

        async fn is_asked(&mut self) {
            let asked = tokio::time::timeout(Duration::from_secs(10), self.asked.recv()).await;
            asked.expect("the question is asked in time").unwrap();
        }

        async fn waiting(&self, count: usize) {
            while self.rounds.shared.queue.lock().waiting.len() != count {
                tokio::task::yield_now().await;
            }
        }
    }

    #[tokio::test]
    async fn whoever_comes_during_a_round_is_answered_by_the_next_one() {
        let mut stage = Stage::new();
        let early = stage.reader();
        stage.is_asked().await;
        let late: Vec<_> = (0..10).map(|_| stage.reader()).collect();
        stage.waiting(10).await;
        stage.answers.send(Ok(Revision(1))).unwrap();
        assert_eq!(early.await.unwrap(), Revision(1));
        // All ten share one question.
        stage.is_asked().await;
        stage.answers.send(Ok(Revision(2))).unwrap();
        for reader in late {
            assert_eq!(reader.await.unwrap(), Revision(2));
        }
        assert!(stage.asked.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_failed_round_is_repeated_for_those_who_still_wait() {
        let mut stage = Stage::new();
        let patient = stage.reader();
        stage.is_asked().await;
        let impatient = stage.reader();
        stage.waiting(1).await;
        impatient.abort();
        stage.answers.send(Err("no leader".to_owned())).unwrap();
        stage.is_asked().await;
        assert_eq!(stage.rounds.last_failure(), "no leader");
        assert!(stage.rounds.last_confirmed().is_none());
        stage.answers.send(Ok(Revision(3))).unwrap();
        assert_eq!(patient.await.unwrap(), Revision(3));
        assert!(stage.rounds.last_confirmed().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_for_nobody_and_rounds_begin_again_when_somebody_comes() {
        let mut stage = Stage::new();
        let gone = stage.reader();
        stage.is_asked().await;
        gone.abort();
        assert!(gone.await.is_err());
        stage.answers.send(Err("cut off".to_owned())).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(stage.asked.try_recv().is_err());
        let reader = stage.reader();
        stage.is_asked().await;
        stage.answers.send(Ok(Revision(4))).unwrap();
        assert_eq!(reader.await.unwrap(), Revision(4));
    }
}
