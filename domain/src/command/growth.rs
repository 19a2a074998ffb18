//! Which commands make a workspace larger, for whoever has to refuse these and no others.

use super::{
    BatchRules, ChangeTarget, Command, KeyIssue, RuleOperation, SecretIssue, TargetChange,
};

impl Command {
    /// Whether it adds what somebody wants to have, or writes a new version of it. Every command costs a log entry and a line of
    /// history, which are bounded; so whatever takes away, takes back, puts live, turns off, renews or keeps safe does not count.
    #[must_use]
    pub fn grows(&self) -> bool {
        match self {
            Self::CreateUpstream(..)
            | Self::UpdateUpstream(..)
            | Self::CreateRoute(..)
            | Self::UpdateRoute(..)
            | Self::CreateRule(..)
            | Self::UpdateRule(..)
            | Self::CreateWebhookEndpoint(..)
            | Self::CreateApiKey(..)
            | Self::CreateEnvironment(..)
            | Self::CreateCertificate(..)
            | Self::CreateEdgeToken(..)
            | Self::StartShift(..) => true,
            Self::BatchRules(_, BatchRules { operations }) => operations
                .iter()
                .any(|operation| !matches!(operation, RuleOperation::Archive(_))),
            Self::ChangeTarget(_, ChangeTarget { change, .. }) => {
                matches!(change, TargetChange::Add(_))
            }
            Self::IssueWebhookSecret(_, issue) => matches!(issue.to, SecretIssue::Create(_)),
            Self::IssueKey(_, issue) => !matches!(issue.to, KeyIssue::RollApiKey(_)),
            // What is already there, smaller or elsewhere.
            Self::DeleteUpstream(..)
            | Self::ArchiveRoute(..)
            | Self::ArchiveRule(..)
            | Self::DeleteWebhookEndpoint(..)
            | Self::DeleteCertificate(..)
            | Self::DeleteEdgeToken(..)
            | Self::ReorderRules(..)
            // Without a publication no removal reaches an edge; it costs what has changed.
            | Self::Publish(..)
            | Self::Rollback(..)
            | Self::SwitchRule(..)
            | Self::SwitchRoute(..)
            | Self::CancelShift(..)
            | Self::StepShift(_)
            | Self::PurgeCache(..)
            // What keeps things safe, or from ending.
            | Self::RevokeApiKey(_)
            | Self::RevokeApiKeyFor(..)
            | Self::UpdateApiKey(..)
            | Self::RollApiKey(..)
            | Self::RevokeEdge(..)
            | Self::EnrolEdge(..)
            | Self::UpdateCertificate(..)
            | Self::UpdateWebhookEndpoint(..)
            | Self::RotateWebhookSecret(..)
            | Self::UpdateWorkspace(..)
            // What the cluster and its operators do.
            | Self::Bootstrap(_)
            | Self::ChangeCluster(_)
            | Self::ChangeSigningKeys(_)
            | Self::ActivateKek(_)
            | Self::RewrapSecrets(_)
            | Self::ActivatePepper(_)
            | Self::MoveKeys(_)
            | Self::ForgetEdges(_)
            | Self::RecordDeliveries(_)
            | Self::RetryDelivery(..)
            | Self::ReplayEvent(..)
            | Self::RecordKeyUses(_)
            | Self::RecordOutages(_)
            | Self::TellExpiries(_) => false,
        }
    }
}
