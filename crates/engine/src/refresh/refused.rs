//! What follows from a refused refresh: sorted first, then recorded where it belongs (rule 6).

use super::attempt::{broken, ours};
use super::breakers::OtherClientVerdict;
use super::flight::Outcome;
use super::lease::{Asking, Held};
use super::opened::NoToken;
use super::{ended, jitter_of};
use crate::applications::changed_meanwhile;
use crate::engine::{ChangeOf, Engine};
use crate::error::{Error, ErrorKind};
use crate::provider_calls::ProviderFailure;
use keyway_core::change::{Action, Entity};
use keyway_core::credential::{Credential, CredentialType};
use keyway_core::grant::GrantStatus;
use keyway_core::oauth::ProviderError;
use keyway_core::refresh::{AfterRefusal, after_refusal};
use keyway_core::refusal::{Blame, blame_of};
use keyway_core::token_set::{RefreshState, Unheard};
use keyway_outbound::Sent;
use serde_json::json;

/// Tries at ending a grant that somebody else changes at the same moment.
const END_TRIES: usize = 3;

/// A failure, sorted.
struct Sorted {
    blame: Blame,
    /// In one word, for the record.
    word: String,
    retry_after_secs: Option<i64>,
    provider_error: Option<Box<ProviderError>>,
    /// The call may have been acted upon though it brought no answer.
    is_answer_lost: bool,
}

impl Engine {
    pub(super) async fn refused_refresh(
        &self,
        asking: &Asking,
        held: Held,
        credential: &Credential,
        failure: ProviderFailure,
    ) -> Outcome {
        let mut sorted = match sort(credential, failure) {
            Ok(sorted) => sorted,
            Err(error) => return self.our_fault(asking, &held, error).await,
        };
        if sorted.blame == Blame::OtherClient {
            sorted.blame = self.judge_other_client(asking, credential).await?;
        }
        if sorted.blame.ends_grant() && self.was_replaced(asking, &held).await? {
            // Somebody else won: an answer about an old token says nothing of the new one.
            return self.overtaken(asking).await;
        }
        self.record(asking, &held, credential, sorted).await
    }

    pub(super) async fn our_fault(&self, asking: &Asking, held: &Held, error: Error) -> Outcome {
        let sorted = Sorted {
            blame: Blame::Ours,
            word: "internal".to_owned(),
            retry_after_secs: None,
            provider_error: None,
            is_answer_lost: false,
        };
        let no = NoToken::from(error);
        self.give_back(
            asking,
            &held.state,
            self.waiting_state(held, &sorted, asking),
        )
        .await?;
        self.still_valid(asking, &held.set, no)
    }

    async fn judge_other_client(
        &self,
        asking: &Asking,
        credential: &Credential,
    ) -> Result<Blame, NoToken> {
        let (application_id, id) = (credential.application_id, credential.id);
        let job = self
            .store()
            .read(move |s| Box::pin(async move { s.grant_counts(application_id, id).await }));
        let valid_grants = job.await?.valid;
        let is_robot = credential.credential_type == CredentialType::ServiceAccount;
        let now = self.now();
        Ok(
            match self
                .inner
                .breakers
                .other_client(id, asking.grant_id, valid_grants, now)
            {
                // A service account has no user's token: what it may do is the administrator's.
                OtherClientVerdict::Grant if is_robot => Blame::TenantAdmin,
                OtherClientVerdict::Grant => Blame::User,
                OtherClientVerdict::Credential => Blame::Credential,
                OtherClientVerdict::Unknown => Blame::OtherClient,
            },
        )
    }

    async fn was_replaced(&self, asking: &Asking, held: &Held) -> Result<bool, NoToken> {
        let (application_id, grant_id) = (asking.application_id, asking.grant_id);
        let job = self.store().read(move |s| {
            Box::pin(async move { s.current_token_set(application_id, grant_id).await })
        });
        let current = job.await?;
        Ok(current.is_none_or(|set| (set.id, set.version) != (held.set.id, held.set.version)))
    }

    /// The row as it is left: no lease, and when to try again.
    fn waiting_state(&self, held: &Held, sorted: &Sorted, asking: &Asking) -> RefreshState {
        let failures = match sorted.blame {
            // The grant did nothing wrong: its own schedule stays as it was.
            Blame::Credential => held.state.failures,
            _ => held.state.failures + 1,
        };
        let jitter = jitter_of(asking.grant_id);
        let after = after_refusal(
            sorted.blame,
            self.now(),
            failures,
            sorted.retry_after_secs,
            jitter,
        );
        let due_at = match after {
            AfterRefusal::End => None,
            AfterRefusal::AwaitCredential => held.state.due_at,
            AfterRefusal::RetryAt(at) => Some(at),
        };
        RefreshState {
            lease_owner: None,
            lease_until: None,
            due_at,
            failures,
            last_error: Some(format!("{}: {}", sorted.blame.as_str(), sorted.word)),
            unheard: match sorted.is_answer_lost {
                true => held.state.unheard.or(Some(Unheard::AnswerLost)),
                false => held.state.unheard,
            },
            version: held.state.version + 1,
        }
    }

    async fn record(
        &self,
        asking: &Asking,
        held: &Held,
        credential: &Credential,
        sorted: Sorted,
    ) -> Outcome {
        let state = self.waiting_state(held, &sorted, asking);
        self.inner.refresh_counts.refused(sorted.blame);
        match sorted.blame {
            Blame::User | Blame::TenantAdmin => {
                if !self.end_grant(asking, held, &sorted, state).await? {
                    return self.overtaken(asking).await;
                }
                Err(NoToken {
                    provider_error: sorted.provider_error,
                    ..ended().into()
                })
            }
            Blame::Credential => {
                self.inner
                    .breakers
                    .trip(credential.application_id, credential.id, self.now());
                if let Some(error) = &sorted.provider_error {
                    self.note_client_fault(credential, error).await;
                }
                self.give_back(asking, &held.state, state).await?;
                let no = NoToken {
                    provider_error: sorted.provider_error,
                    ..broken(credential.id)
                };
                self.still_valid(asking, &held.set, no)
            }
            Blame::Ours => {
                self.give_back(asking, &held.state, state).await?;
                let no = NoToken {
                    provider_error: sorted.provider_error,
                    ..ours(&sorted.word)
                };
                self.still_valid(asking, &held.set, no)
            }
            Blame::Transient | Blame::OtherClient => {
                self.give_back(asking, &held.state, state).await?;
                if let Some(secs) = sorted.retry_after_secs {
                    let until = self.now().plus_secs(secs);
                    let breakers = &self.inner.breakers;
                    breakers.asked_to_wait(credential.id, asking.grant_id, until, self.now());
                }
                self.still_valid(asking, &held.set, later(sorted))
            }
        }
    }

    /// Marks the grant invalid, if its tokens are still those the provider refused. `false` if the lease is
    /// somebody else's by now, and so is the verdict.
    async fn end_grant(
        &self,
        asking: &Asking,
        held: &Held,
        sorted: &Sorted,
        state: RefreshState,
    ) -> Result<bool, NoToken> {
        let (application_id, grant_id) = (asking.application_id, asking.grant_id);
        let (set_id, set_version) = (held.set.id, held.set.version);
        let lease_version = held.state.version;
        let cause = cause_of_end(held, sorted);
        let detail = json!({
            "cause": cause, "error": sorted.word,
            "credential_id": held.set.credential_id.to_string(), "provider": held.set.provider.as_str(),
        });
        let change = ChangeOf {
            application_id,
            entity: Entity::Grant,
            id: &grant_id,
            action: Action::Expired,
            actor: "engine",
        }
        .with(self.now(), detail);
        let end = move || {
            let (state, change) = (state.clone(), change.clone());
            self.commit(move |s| {
                Box::pin(async move {
                    let fence = Some(lease_version);
                    if !s
                        .upsert_refresh_state(application_id, grant_id, &state, fence)
                        .await?
                    {
                        return Ok((None, Vec::new()));
                    }
                    let set = s.current_token_set(application_id, grant_id).await?;
                    let grant = s.grant(application_id, grant_id).await?;
                    let same =
                        set.is_some_and(|set| (set.id, set.version) == (set_id, set_version));
                    match grant {
                        Some(mut grant) if same && grant.status == GrantStatus::Valid => {
                            grant.status = GrantStatus::Invalid;
                            grant.version += 1;
                            if s.update_grant(&grant, grant.version - 1).await? {
                                return Ok((Some(true), vec![change]));
                            }
                            Err(changed_meanwhile())
                        }
                        _ => Ok((Some(false), Vec::new())),
                    }
                })
            })
        };
        let mut ended = end().await;
        for _ in 1..END_TRIES {
            // Somebody changed the grant at that very moment.
            match &ended {
                Err(error) if error.kind() == changed_meanwhile().kind() => ended = end().await,
                _ => break,
            }
        }
        let ended = ended?;
        if ended == Some(true) {
            self.tell_of_end(asking, held, cause);
        }
        Ok(ended.is_some())
    }

    /// A grant that ended for want of an answer is no deed of its user's, and an operator should hear of it.
    fn tell_of_end(&self, asking: &Asking, held: &Held, cause: &'static str) {
        if Unheard::parse(cause).is_none() {
            return;
        }
        self.inner.refresh_counts.lost();
        tracing::error!(
            grant = %asking.grant_id, credential = %held.set.credential_id, cause,
            "a grant has ended because the answer to an earlier refresh was never stored; its user must sign in again"
        );
    }
}

/// Why a grant ends: the user's or administrator's doing, or an earlier answer of the provider's that nobody
/// stored.
fn cause_of_end(held: &Held, sorted: &Sorted) -> &'static str {
    match held.state.unheard {
        Some(unheard) if sorted.blame == Blame::User => unheard.as_str(),
        _ => sorted.blame.as_str(),
    }
}

/// Sorts a failure; one of our own making is handed back.
fn sort(credential: &Credential, failure: ProviderFailure) -> Result<Sorted, Error> {
    let transient = |word: String, retry_after_secs| Sorted {
        blame: Blame::Transient,
        word,
        retry_after_secs,
        provider_error: None,
        is_answer_lost: false,
    };
    Ok(match failure {
        ProviderFailure::Refused(error) => Sorted {
            blame: blame_of(credential.provider, credential.credential_type, &error),
            word: error.error.clone(),
            retry_after_secs: error.retry_after_secs,
            is_answer_lost: is_lost_by(error.status),
            provider_error: Some(Box::new(error)),
        },
        ProviderFailure::Overloaded {
            status,
            retry_after_secs,
        } => Sorted {
            is_answer_lost: is_lost_by(status),
            ..transient(format!("status {status}"), retry_after_secs)
        },
        ProviderFailure::Unreachable(cause) => {
            tracing::warn!(credential = %credential.id, %cause, "a refresh got no answer");
            match cause.sent {
                Sent::No => transient("not_reached".to_owned(), None),
                // It may have rotated the refresh token and nobody heard: a cause of its own (rule 5).
                Sent::Perhaps => Sorted {
                    is_answer_lost: true,
                    ..transient(Unheard::AnswerLost.as_str().to_owned(), None)
                },
            }
        }
        ProviderFailure::Nonsense(why) => {
            tracing::warn!(credential = %credential.id, why, "a refresh got an answer that makes no sense");
            // Whatever it tried to say, it may have rotated the token.
            Sorted {
                is_answer_lost: true,
                ..transient("unintelligible".to_owned(), None)
            }
        }
        ProviderFailure::Ours(error) => return Err(error),
    })
}

/// Whether a status says that somebody on the way gave up on the provider, which may have done its work.
const fn is_lost_by(status: u16) -> bool {
    matches!(status, 500 | 502 | 504)
}

fn later(sorted: Sorted) -> NoToken {
    let secs = sorted.retry_after_secs.unwrap_or(2).clamp(1, 3600);
    NoToken {
        provider_error: sorted.provider_error,
        retry_after_secs: u32::try_from(secs).ok(),
        ..NoToken::new(
            ErrorKind::ProviderUnavailable,
            format!(
                "The provider could not refresh this grant's token ({}); it will be tried again.",
                sorted.word
            ),
        )
    }
}
