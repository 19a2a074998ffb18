//! Lines, and what becomes of them when nobody takes them.

use std::sync::mpsc::channel;

use super::*;

/// A sink that shows what was written, and stands still while its gate is closed.
struct Gate {
    text: Arc<parking_lot::Mutex<Vec<u8>>>,
    open: Receiver<()>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Who holds the other end keeps the gate closed.
        let _ = self.open.recv();
        self.text.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let (gate, open) = channel();
    let text = Arc::<parking_lot::Mutex<Vec<u8>>>::default();
    let sink = Gate {
        text: Arc::clone(&text),
        open,
    };
    let writing = AccessLog::start(1.0, Box::new(sink)).unwrap();
    let log = writing.log();
    let lines = LINES_MAX as u64 + 100;
    for _ in 0..lines {
        log.put(b"line\n".to_vec());
    }
    let dropped = log.counts().dropped();
    // The writer may hold one that is no longer in the queue.
    assert!((99..=100).contains(&dropped), "{dropped}");
    drop(gate);
    writing.close();
    assert_eq!(log.counts().written(), lines - dropped);
    assert_eq!(text.lock().len() as u64, (lines - dropped) * 5);
    log.put(b"late\n".to_vec());
    assert_eq!(
        log.counts().dropped(),
        dropped + 1,
        "nobody writes any more"
    );
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_is_full_costs_lines_and_nothing_else() {
    let writing = AccessLog::start(1.0, Box::new(Broken)).unwrap();
    let log = writing.log();
    for _ in 0..10 {
        log.put(b"line\n".to_vec());
    }
    writing.close();
    assert_eq!((log.counts().written(), log.counts().dropped()), (0, 10));
}

#[test]
fn the_share_is_that_of_all_numbers() {
    let (lines, _) = sync_channel(1);
    let log = |share| AccessLog {
        lines: lines.clone(),
        threshold: threshold(share),
        counts: Arc::default(),
    };
    for (share, random, sampled) in [
        (0.0, 0, false),
        (1.0, u64::MAX, true),
        (1.0, 0, true),
        (0.5, u64::MAX / 4, true),
        (0.5, u64::MAX / 4 * 3, false),
    ] {
        assert_eq!(log(share).samples(random), sampled, "{share} of {random}");
    }
}
