//! What the operating system says of this process, as metrics under the names that Prometheus' own
//! clients use (`process_*`), beside who the process is, how much room its disk has, and until when its
//! certificates hold. Read when somebody asks. Only `main` registers it: a simulated process has no
//! entry in `/proc`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use rustix::process::{Resource, getrlimit};

use crate::renewal::{OwnCertificate, Standing};
use crate::trace::SpanCounts;

/// Who a process is, in `vectorgate_process_info`.
#[derive(Clone, Debug, Default)]
pub struct Who {
    /// `node` or `edge`.
    pub component: &'static str,
    /// Its number or name.
    pub name: String,
    /// Where it runs.
    pub region: String,
    /// What an edge follows; empty for a node, which has all.
    pub environment: String,
    /// The version of the program.
    pub version: &'static str,
}

/// This process as metrics.
#[derive(Clone, Debug)]
pub struct Process {
    /// Who it is.
    pub who: Who,
    /// Where its data is.
    pub data_dir: PathBuf,
    /// Its certificates.
    pub certificates: Vec<Arc<OwnCertificate>>,
    /// What becomes of its spans.
    pub spans: Arc<SpanCounts>,
}

/// What `/proc` says of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Usage {
    cpu_s: f64,
    /// Since the Unix epoch.
    started_s: f64,
    virtual_bytes: u64,
    resident_bytes: u64,
    descriptors: u64,
    descriptors_max: Option<u64>,
}

/// The kernel's counters of a process, in its own units (`proc(5)`, `/proc/pid/stat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    started_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of it, in bytes.
    pub bytes: u64,
    /// What holds something, in bytes. What is kept back for root does not.
    pub used_bytes: u64,
    /// What is left, in bytes, for those who are not root.
    pub available_bytes: u64,
}

impl Stat {
    /// The program's name stands in parentheses and may hold anything, parentheses included.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_name) = line.rsplit_once(')')?;
        // The first of these is the third field in the manual's count.
        let fields: Vec<&str> = after_name.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            started_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// When the machine was started, in seconds since the Unix epoch.
fn boot_time(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds and ticks of a process stay far below 2^52"
)]
fn usage() -> io::Result<Usage> {
    let unreadable = || io::Error::from(io::ErrorKind::InvalidData);
    let stat = Stat::parse(&fs::read_to_string("/proc/self/stat")?).ok_or_else(unreadable)?;
    let booted_s = boot_time(&fs::read_to_string("/proc/stat")?).ok_or_else(unreadable)?;
    let ticks_per_s = rustix::param::clock_ticks_per_second().max(1) as f64;
    Ok(Usage {
        cpu_s: stat.cpu_ticks as f64 / ticks_per_s,
        started_s: booted_s as f64 + stat.started_ticks as f64 / ticks_per_s,
        virtual_bytes: stat.virtual_bytes,
        resident_bytes: stat.resident_pages * rustix::param::page_size() as u64,
        // The descriptor that reads the folder is one of them.
        descriptors: (fs::read_dir("/proc/self/fd")?.count() as u64).saturating_sub(1),
        descriptors_max: getrlimit(Resource::Nofile).current,
    })
}

/// The room on the file system of a file or folder.
///
/// # Errors
/// When that cannot be asked.
pub fn room(on: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(on)?;
    Ok(Room {
        bytes: found.f_blocks.saturating_mul(found.f_frsize),
        used_bytes: (found.f_blocks.saturating_sub(found.f_bfree)).saturating_mul(found.f_frsize),
        available_bytes: found.f_bavail.saturating_mul(found.f_frsize),
    })
}

/// What cannot be read is not shown: a missing series is told from a zero.
impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_who(encoder)?;
        if let Ok(usage) = usage() {
            encode_usage(usage, encoder)?;
        }
        if let Ok(room) = room(&self.data_dir) {
            gauge(
                encoder,
                "vectorgate_disk_size_bytes",
                "Size of the file system that holds the data directory",
                &room.bytes,
            )?;
            gauge(
                encoder,
                "vectorgate_disk_available_bytes",
                "Room left on the file system that holds the data directory",
                &room.available_bytes,
            )?;
        }
        self.encode_certificates(encoder)?;
        self.spans.encode(encoder)
    }
}

/// A gauge of certificates: its name, what it says, and its value.
type Shown = (&'static str, &'static str, fn(&Standing) -> u64);

impl Process {
    fn encode_who(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let who = &self.who;
        let labels = [
            ("component", who.component),
            ("name", &who.name),
            ("region", &who.region),
            ("environment", &who.environment),
            ("version", who.version),
        ];
        encoder
            .encode_descriptor(
                "vectorgate_process_info",
                "Who this process is; always 1",
                None,
                MetricType::Gauge,
            )?
            .encode_family(&labels)?
            .encode_gauge(&1_u64)
    }

    fn encode_certificates(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let standings: Vec<_> = self
            .certificates
            .iter()
            .map(|own| (own.use_for, own.standing()))
            .collect();
        let gauges: [Shown; 3] = [
            (
                "vectorgate_certificate_start_timestamp_seconds",
                "From when on a certificate of the process's own holds, in seconds since the Unix epoch",
                |standing| standing.term.since_s,
            ),
            (
                "vectorgate_certificate_expiry_timestamp_seconds",
                "Until when a certificate of the process's own holds, in seconds since the Unix epoch",
                |standing| standing.term.until_s,
            ),
            (
                "vectorgate_certificate_files_unusable",
                "Whether a certificate's files hold something that cannot be used, so that what was read before is in use",
                |standing| u64::from(standing.is_unusable),
            ),
        ];
        for (name, help, value) in gauges {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (use_for, standing) in &standings {
                metric
                    .encode_family(&[("certificate", *use_for)])?
                    .encode_gauge(&value(standing))?;
            }
        }
        let mut metric = encoder.encode_descriptor(
            "vectorgate_certificate_renewals",
            "How often a certificate of the process's own was renewed while it ran, how often what came could not be used or was refused, and how often nobody answered",
            None,
            MetricType::Counter,
        )?;
        for (use_for, standing) in standings {
            for (result, count) in [
                ("taken", standing.taken),
                ("refused", standing.refused),
                ("unavailable", standing.unavailable),
            ] {
                metric
                    .encode_family(&[("certificate", use_for), ("result", result)])?
                    .encode_counter::<NoLabelSet, _, u64>(&count, None)?;
            }
        }
        Ok(())
    }
}

fn encode_usage(usage: Usage, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    encoder
        .encode_descriptor(
            "process_cpu_seconds",
            "Processor time that the process has used",
            None,
            MetricType::Counter,
        )?
        .encode_counter::<NoLabelSet, _, u64>(&usage.cpu_s, None)?;
    gauge(
        encoder,
        "process_start_time_seconds",
        "When the process started, in seconds since the Unix epoch",
        &usage.started_s,
    )?;
    gauge(
        encoder,
        "process_virtual_memory_bytes",
        "Address space of the process",
        &usage.virtual_bytes,
    )?;
    gauge(
        encoder,
        "process_resident_memory_bytes",
        "Memory of the process",
        &usage.resident_bytes,
    )?;
    gauge(
        encoder,
        "process_open_fds",
        "Open file descriptors",
        &usage.descriptors,
    )?;
    // No limit is shown as none.
    match usage.descriptors_max {
        Some(max) => gauge(
            encoder,
            "process_max_fds",
            "The most file descriptors that may be open",
            &max,
        ),
        None => Ok(()),
    }
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: &impl EncodeGaugeValue,
) -> fmt::Result {
    encoder
        .encode_descriptor(name, help, None, MetricType::Gauge)?
        .encode_gauge(value)
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::certificate::Term;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_no_field() {
        let line =
            "4711 (a) b (c) S 1 1 1 0 -1 4194560 9 0 0 0 250 150 0 0 20 0 9 0 5000 8192000 300 1 0";
        let expected = Stat {
            cpu_ticks: 400,
            started_ticks: 5_000,
            virtual_bytes: 8_192_000,
            resident_pages: 300,
        };
        assert_eq!(Stat::parse(line), Some(expected));
        assert_eq!(Stat::parse("4711 (cut) S 1 1"), None);
        assert_eq!(
            boot_time("cpu 1 2\nbtime 1700000000\n"),
            Some(1_700_000_000)
        );
    }

    #[test]
    fn this_process_is_shown_with_its_disk_and_certificates_as_in_the_golden_list() {
        let folder = tempfile::tempdir().unwrap();
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process {
            who: Who {
                component: "node",
                name: "1".to_owned(),
                region: "eu-central-1".to_owned(),
                environment: String::new(),
                version: "0.1.0",
            },
            data_dir: folder.path().to_owned(),
            certificates: vec![Arc::new(OwnCertificate::new(
                "internal",
                Term {
                    since_s: 1_800_000_000,
                    until_s: 1_900_000_000,
                },
            ))],
            spans: Arc::default(),
        }));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "vectorgate_process_info{component=\"node\",name=\"1\",region=\"eu-central-1\",environment=\"\",version=\"0.1.0\"} 1",
            "vectorgate_certificate_start_timestamp_seconds{certificate=\"internal\"} 1800000000",
            "vectorgate_certificate_expiry_timestamp_seconds{certificate=\"internal\"} 1900000000",
            "vectorgate_certificate_files_unusable{certificate=\"internal\"} 0",
            "vectorgate_certificate_renewals_total{certificate=\"internal\",result=\"refused\"} 0",
            "vectorgate_certificate_renewals_total{certificate=\"internal\",result=\"unavailable\"} 0",
            "vectorgate_trace_spans_exported_total 0",
            "vectorgate_trace_spans_dropped_total{reason=\"queue_full\"} 0",
            "vectorgate_trace_spans_dropped_total{reason=\"export_failed\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")));
            let line = line.unwrap_or_else(|| panic!("{name} is missing in {text}"));
            line.rsplit_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_start_time_seconds") > 1_600_000_000.0);
        assert!(value("vectorgate_disk_size_bytes") >= value("vectorgate_disk_available_bytes"));
        value("process_cpu_seconds_total");
        #[cfg(feature = "testing")]
        crate::testing::assert_metrics_are_documented("process", &text);
    }
}
