//! Who an edge is, whom it follows and what it shows to nodes: all of it from the operator, or all of it by
//! a join token. What the operator says beside a token has to agree with it.

use std::fmt;
use std::path::PathBuf;

use edge_protocol::enrolment::{JoinToken, Papers};
use serde::Deserialize;

use super::{Settings, SettingsError, check_address, check_name};

/// `[enrolment]`: instead of `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentSettings {
    /// The file that the join token is in; nobody else may read it. It is of no use once the edge has come by
    /// its certificate.
    pub token_file: Option<PathBuf>,
    /// The join token itself, which is better given as a variable than in a file that others read.
    pub token: Option<Token>,
}

/// A join token's text.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl EnrolmentSettings {
    /// The token, if there is one.
    ///
    /// # Errors
    /// When the file cannot be read or is exposed, or holds something else.
    pub fn token(&self) -> Result<Option<JoinToken>, SettingsError> {
        let bad = |field, error: &dyn fmt::Display| SettingsError::field(field, error);
        if let Some(Token(text)) = &self.token {
            let token = JoinToken::parse(text);
            return token
                .map(Some)
                .map_err(|error| bad("enrolment.token", &error));
        }
        let Some(path) = self.token_file.as_ref().filter(|path| path.exists()) else {
            return Ok(None);
        };
        let text = platform::secret_file::read(path)
            .map_err(|error| bad("enrolment.token_file", &error))?;
        let text = zeroize::Zeroizing::new(text);
        JoinToken::parse(&text)
            .map(Some)
            .map_err(|error| bad("enrolment.token_file", &error))
    }
}

impl Settings {
    /// Takes over what a certificate says that the edge is.
    ///
    /// # Errors
    /// When the settings say something else.
    pub fn take_papers(&mut self, papers: &Papers) -> Result<(), SettingsError> {
        let edge = &mut self.edge;
        for (field, says, is) in [
            ("edge.region", &mut edge.region, &papers.region),
            (
                "edge.environment",
                &mut edge.environment,
                &papers.environment,
            ),
        ] {
            if !says.is_empty() && says != is {
                return Err(SettingsError::field(
                    field,
                    format!("the edge was let in for `{is}`"),
                ));
            }
            says.clone_from(is);
        }
        edge.labels.clone_from(&papers.labels);
        Ok(())
    }
}

/// What types alone do not say.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let Settings { edge, control, .. } = settings;
    match (&settings.tls, &settings.enrolment) {
        (Some(_), None) => {
            check_name("edge.region", &edge.region)?;
            check_name("edge.environment", &edge.environment)?;
            if control.nodes.is_empty() {
                return Err(SettingsError::field("control.nodes", "it names no node"));
            }
        }
        (None, Some(enrolment)) => {
            if enrolment.token.is_some() && enrolment.token_file.is_some() {
                return Err(SettingsError::field(
                    "enrolment.token",
                    "there is a `token_file`, too",
                ));
            }
            for (field, name) in [
                ("edge.region", &edge.region),
                ("edge.environment", &edge.environment),
            ] {
                if !name.is_empty() {
                    check_name(field, name)?;
                }
            }
        }
        (None, None) => {
            return Err(SettingsError::field(
                "tls",
                "it is missing, and so is `enrolment`",
            ));
        }
        (Some(_), Some(_)) => {
            return Err(SettingsError::field("enrolment", "there is `tls`, too"));
        }
    }
    for node in &control.nodes {
        check_address("control.nodes", node)?;
    }
    Ok(())
}
