//! The date of answers that have none (RFC 9110, section 6.6.1), written out once a second.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use platform::Clock;

use crate::turn;

/// A thread's date.
pub(in crate::proxy) struct Dates {
    clock: Arc<dyn Clock>,
    /// The second for which `line` holds.
    written: RefCell<(u64, String)>,
}

impl fmt::Debug for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dates")
    }
}

impl Dates {
    pub(in crate::proxy) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            written: RefCell::default(),
        }
    }

    /// Appends the field.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let second = turn::wall_ms(&*self.clock) / 1000;
        let mut written = self.written.borrow_mut();
        if written.0 != second || written.1.is_empty() {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
            *written = (
                second,
                format!("date: {}\r\n", httpdate::fmt_http_date(time)),
            );
        }
        out.extend_from_slice(written.1.as_bytes());
    }
}
