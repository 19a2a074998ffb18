//! What types alone do not say about settings.

use std::collections::BTreeSet;

use super::{
    BackupSettings, CheckSettings, EnrolmentSettings, LimitSettings, MemberSettings,
    PublisherSettings, RaftSettings, RestSettings, SecuritySettings, Settings, SettingsError,
    TlsSettings,
};

/// Region names longer than this fit no table and no label.
const REGION_CHARS_MAX: usize = 64;

/// The largest rate limit: far more than any cluster serves, and small enough to add some up.
const LIMIT_MAX: u32 = 1_000_000_000;

/// A day: what is found later was served for too long.
const CHECK_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// A state of a megabyte in a second.
const CHECK_BYTES_MIN: u64 = 1 << 20;

/// A week: a backup that is older is hardly one.
const BACKUP_MINUTES_MAX: u32 = 7 * 24 * 60;

pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    region("node.region", &settings.node.region)?;
    rest(&settings.rest)?;
    publisher(&settings.publisher)?;
    if let Some(enrolment) = &settings.enrolment {
        self::enrolment(enrolment, &settings.tls)?;
    }
    security(&settings.security)?;
    if let Some(backup) = &settings.backup {
        self::backup(backup)?;
    }
    state_check(&settings.check)?;
    settings
        .tracing
        .check()
        .map_err(|invalid| SettingsError::field(invalid.field, invalid.reason))?;
    members(settings)?;
    raft(&settings.raft)?;
    limits(&settings.limits)
}

/// Keys travel over this socket: in clear text they leave the machine only where that is said in so many
/// words.
fn rest(rest: &RestSettings) -> Result<(), SettingsError> {
    match (&rest.cert_file, &rest.key_file) {
        (Some(_), Some(_)) if rest.plain_http_beyond_loopback => Err(SettingsError::field(
            "rest.plain_http_beyond_loopback",
            "cannot be beside rest.cert_file: the API speaks HTTPS then",
        )),
        (Some(_), Some(_)) => Ok(()),
        (None, None) if rest.listen.ip().is_loopback() => Ok(()),
        (None, None) if rest.plain_http_beyond_loopback => Ok(()),
        (None, None) => Err(SettingsError::field(
            "rest.listen",
            "plain HTTP is allowed on loopback only; set rest.cert_file and rest.key_file for HTTPS, or rest.plain_http_beyond_loopback",
        )),
        (Some(_), None) => Err(SettingsError::field(
            "rest.key_file",
            "is missing beside rest.cert_file",
        )),
        (None, Some(_)) => Err(SettingsError::field(
            "rest.cert_file",
            "is missing beside rest.key_file",
        )),
    }
}

fn publisher(publisher: &PublisherSettings) -> Result<(), SettingsError> {
    if publisher.connections_of_address_max > 0 {
        return Ok(());
    }
    Err(SettingsError::field(
        "publisher.connections_of_address_max",
        "must be at least 1",
    ))
}

/// A certificate that lasts for longer than a week is not one that is renewed by itself. That the authorities are others than the
/// nodes' where the files are, is looked at when they are read.
fn enrolment(enrolment: &EnrolmentSettings, tls: &TlsSettings) -> Result<(), SettingsError> {
    if enrolment.ca_file == tls.ca_file {
        return Err(SettingsError::field(
            "enrolment.ca_file",
            "must not be tls.ca_file: edges have an authority of their own, which signs for no node (vectorgate-node ca init)",
        ));
    }
    if (1..=7 * 24).contains(&enrolment.certificate_hours) {
        return Ok(());
    }
    Err(SettingsError::field(
        "enrolment.certificate_hours",
        "must be 1 to 168",
    ))
}

fn security(security: &SecuritySettings) -> Result<(), SettingsError> {
    if security.kek_file.is_some() && !security.kek_command.is_empty() {
        return Err(SettingsError::field(
            "security.kek_command",
            "cannot be beside security.kek_file: keys come from one of them",
        ));
    }
    Ok(())
}

/// What is written in clear text is written so because somebody said it.
fn backup(backup: &BackupSettings) -> Result<(), SettingsError> {
    match (&backup.key_file, backup.plain) {
        (None, false) => {
            return Err(SettingsError::field(
                "backup.key_file",
                "is missing; set backup.plain = true for backups that whoever has the files can read",
            ));
        }
        (Some(_), true) => {
            return Err(SettingsError::field(
                "backup.plain",
                "cannot be beside backup.key_file",
            ));
        }
        _ => {}
    }
    if !(1..=BACKUP_MINUTES_MAX).contains(&backup.every_minutes) {
        return Err(SettingsError::field(
            "backup.every_minutes",
            format!("must be 1 to {BACKUP_MINUTES_MAX}"),
        ));
    }
    if backup.keep == 0 {
        return Err(SettingsError::field("backup.keep", "must be at least 1"));
    }
    Ok(())
}

fn state_check(check: &CheckSettings) -> Result<(), SettingsError> {
    if !(1000..=CHECK_MS_MAX).contains(&check.every_ms) {
        return Err(SettingsError::field(
            "check.every_ms",
            format!("must be 1000 to {CHECK_MS_MAX}"),
        ));
    }
    if check.bytes_per_s_max < CHECK_BYTES_MIN {
        return Err(SettingsError::field(
            "check.bytes_per_s_max",
            format!("must be at least {CHECK_BYTES_MIN}"),
        ));
    }
    Ok(())
}

fn members(settings: &Settings) -> Result<(), SettingsError> {
    let members = &settings.cluster.members;
    let mut seen = BTreeSet::new();
    for (index, member) in members.iter().enumerate() {
        self::member(&format!("cluster.members[{index}]"), member)?;
        if !seen.insert(member.id) {
            return Err(SettingsError::field(
                format!("cluster.members[{index}].id"),
                format!("{} stands there twice", member.id),
            ));
        }
    }
    if members.is_empty() {
        return Err(SettingsError::field(
            "cluster.members",
            "must name at least one member",
        ));
    }
    let others = members.iter().any(|member| member.id != settings.node.id);
    if settings.cluster.join && !others {
        return Err(SettingsError::field(
            "cluster.members",
            "must name a member of the cluster that is to be joined, beside this node",
        ));
    }
    Ok(())
}

pub(super) fn member(at: &str, member: &MemberSettings) -> Result<(), SettingsError> {
    if member.id == 0 {
        return Err(SettingsError::field(
            format!("{at}.id"),
            "must be at least 1",
        ));
    }
    region(&format!("{at}.region"), &member.region)?;
    address(&format!("{at}.internal"), &member.internal)?;
    address(&format!("{at}.publisher"), &member.publisher)?;
    if !member.rest.starts_with("http://") && !member.rest.starts_with("https://") {
        return Err(SettingsError::field(
            format!("{at}.rest"),
            "must be an http:// or https:// URL",
        ));
    }
    Ok(())
}

fn region(field: &str, region: &str) -> Result<(), SettingsError> {
    let allowed = |character: char| {
        character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
    };
    if region.is_empty() || region.len() > REGION_CHARS_MAX || !region.chars().all(allowed) {
        return Err(SettingsError::field(
            field,
            "must be 1 to 64 lower-case letters, digits and hyphens",
        ));
    }
    Ok(())
}

fn address(field: &str, address: &str) -> Result<(), SettingsError> {
    let good = address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if good {
        Ok(())
    } else {
        Err(SettingsError::field(field, "must be host:port"))
    }
}

fn limits(limits: &LimitSettings) -> Result<(), SettingsError> {
    for (field, limit) in [
        (
            "limits.enterprise_requests_per_minute",
            limits.enterprise_requests_per_minute,
        ),
        (
            "limits.enterprise_route_mutations_per_minute",
            limits.enterprise_route_mutations_per_minute,
        ),
        ("limits.bad_keys_per_minute", limits.bad_keys_per_minute),
    ] {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(SettingsError::field(field, "must be 1 to 1000000000"));
        }
    }
    Ok(())
}

fn raft(raft: &RaftSettings) -> Result<(), SettingsError> {
    let fail =
        |field: &str, reason: &str| Err(SettingsError::field(format!("raft.{field}"), reason));
    if raft.heartbeat_ms < 10 {
        return fail("heartbeat_ms", "must be at least 10");
    }
    if raft.election_timeout_min_ms < 2 * raft.heartbeat_ms {
        return fail(
            "election_timeout_min_ms",
            "must be at least twice raft.heartbeat_ms",
        );
    }
    if raft.election_timeout_max_ms <= raft.election_timeout_min_ms {
        return fail(
            "election_timeout_max_ms",
            "must be above raft.election_timeout_min_ms",
        );
    }
    if raft.election_timeout_max_ms > 60_000 {
        return fail("election_timeout_max_ms", "must be at most 60000");
    }
    if raft.checkpoint_every_entries == 0 {
        return fail("checkpoint_every_entries", "must be at least 1");
    }
    Ok(())
}
