//! `authorization_code`: the code a sign-in gave becomes a grant and its tokens. Here, and not before,
//! a re-authentication takes effect (rule 4).

use super::issue::{FamilyFacts, Fresh};
use super::{ClientProof, TokenAnswer, TokenParams, given, required, secret_missing};
use crate::engine::Engine;
use crate::error::{Error, OAuthError};
use crate::transfer::{Authentication, Opener, lost_a_race, transfer};
use keyway_core::account_secret::AccountSecret;
use keyway_core::application::Application;
use keyway_core::grant::Grant;
use keyway_core::ids::{ApplicationId, GrantId, TokenSetId};
use keyway_core::issued::{ACCESS_TOKEN_LIFETIME_SECS, AccessToken, RefreshToken};
use keyway_core::reauth::Voucher;
use keyway_core::redirect_uri::audience_of;
use keyway_core::scope::Scopes;
use keyway_core::sign_in::{Outcome, SignIn, SignInStatus, Started};
use keyway_vault::hash::{constant_time_eq, sha256};

/// The error code clients know a failed PKCE check by.
const PKCE_FAILED: i64 = 45004;
/// Two exchanges for one new user at once: the loser tries again and finds the winner's grant.
const TRIES: usize = 3;

pub(super) fn bad_code() -> OAuthError {
    OAuthError::invalid_grant(
        "The code is unknown, expired or used; a code works once. Start the sign-in again",
    )
}

impl Engine {
    pub(super) async fn exchange_code(
        &self,
        params: TokenParams,
    ) -> Result<TokenAnswer, OAuthError> {
        required("client_id", &params.client_id)?;
        required("code", &params.code)?;
        required("redirect_uri", &params.redirect_uri)?;
        // A consumed code must not be lost with the client's connection.
        let engine = self.clone();
        self.finishing(async move { engine.exchange(&params).await })
            .await?
    }

    async fn exchange(&self, params: &TokenParams) -> Result<TokenAnswer, OAuthError> {
        let application = self.client_application(params).await?;
        let code = required("code", &params.code)?;
        let sign_in = self.find_sign_in(code).await?.ok_or_else(bad_code)?;
        if sign_in.application_id != application.id {
            self.burn(&sign_in).await;
            return Err(bad_code());
        }
        self.check_unused(&sign_in).await?;
        let sealed = sign_in.outcome.as_ref().ok_or_else(bad_code)?;
        let outcome = self.open_outcome(sign_in.id, sealed)?;
        let exchanged = match self
            .check_exchange(&application, &outcome.started, params)
            .await
        {
            Ok(proof) => self.take_effect(&sign_in, outcome, proof).await,
            Err(error) => Err(error),
        };
        // A failed exchange burns the code (documented upstream).
        if exchanged.as_ref().is_err_and(OAuthError::is_final) {
            self.burn(&sign_in).await;
        }
        exchanged
    }

    /// A replayed code also ends the tokens it gave (rule 9; RFC 6749, 4.1.2).
    pub(super) async fn check_unused(&self, sign_in: &SignIn) -> Result<(), OAuthError> {
        if let (SignInStatus::Exchanged, Some(family_id)) = (sign_in.status, sign_in.family_id) {
            self.end_family(sign_in.application_id, family_id, "code_replayed")
                .await?;
        }
        let live = sign_in.code_expires_at.is_some_and(|end| self.now() < end);
        if sign_in.status == SignInStatus::Completed && live {
            Ok(())
        } else {
            Err(bad_code())
        }
    }

    pub(super) async fn burn(&self, sign_in: &SignIn) {
        let (application_id, id) = (sign_in.application_id, sign_in.id);
        let burnt = self
            .store()
            .write(move |s| Box::pin(async move { s.burn_code(application_id, id).await }))
            .await;
        if let Err(error) = burnt {
            tracing::warn!(sign_in = %id, %error, "a refused code could not be burnt; it expires by itself");
        }
    }

    async fn check_exchange(
        &self,
        application: &Application,
        started: &Started,
        params: &TokenParams,
    ) -> Result<ClientProof, OAuthError> {
        let redirect_uri = required("redirect_uri", &params.redirect_uri)?;
        if !constant_time_eq(redirect_uri.as_bytes(), started.redirect_uri.as_bytes()) {
            return Err(OAuthError::invalid_grant(
                "redirect_uri is not the one the sign-in was started with",
            ));
        }
        let proof = self.client_proof(application.id, params).await?;
        check_pkce(started, given(&params.code_verifier))?;
        let public = started.challenge.is_some() && started.platform.is_public();
        match proof {
            ClientProof::None if !public => Err(secret_missing()),
            proof => Ok(proof),
        }
    }

    async fn take_effect(
        &self,
        sign_in: &SignIn,
        outcome: Outcome,
        proof: ClientProof,
    ) -> Result<TokenAnswer, OAuthError> {
        let facts = FamilyFacts {
            application_id: sign_in.application_id,
            family_id: self.new_family(),
            audience: audience_of(&outcome.started.redirect_uri),
            public_client: proof == ClientProof::None,
            rotates: outcome.started.rotate_refresh_token,
            began_at: self.now(),
        };
        // Before anything is used up: what comes after the commit must not fail.
        let signer = self.signing_key().await?;
        let (grant, given) = self.exchanged(sign_in, &outcome, &facts, true).await?;
        let given = given.ok_or_else(|| Error::internal("an exchange gave nothing"))?;
        let id_token = self.id_token(&signer, &grant, &facts.audience, Some(&outcome.identity))?;
        Ok(TokenAnswer {
            access_token: given.access.secret,
            expires_in: ACCESS_TOKEN_LIFETIME_SECS,
            grant_id: grant.id,
            scope: grant.scope.to_string(),
            email: grant.email,
            id_token,
            refresh_token: given.refresh.map(|fresh| fresh.secret),
            provider: Some(grant.provider),
        })
    }

    /// The exchange, tried again where it lost a race.
    pub(super) async fn exchanged(
        &self,
        sign_in: &SignIn,
        outcome: &Outcome,
        facts: &FamilyFacts,
        gives_tokens: bool,
    ) -> Result<(Grant, Option<Given>), Error> {
        let commit = || self.commit_exchange(sign_in, outcome, facts, gives_tokens);
        for _ in 1..TRIES {
            match commit().await {
                Err(error) if lost_a_race(&error) => {}
                other => return other,
            }
        }
        commit().await
    }

    /// One transaction: the code is used up, the grant made or moved, its tokens given.
    async fn commit_exchange(
        &self,
        sign_in: &SignIn,
        outcome: &Outcome,
        facts: &FamilyFacts,
        gives_tokens: bool,
    ) -> Result<(Grant, Option<Given>), Error> {
        let auth = self.authentication(outcome);
        let new = || self.given(facts, outcome, auth.new_grant_id);
        let given = gives_tokens.then(new);
        let rows = given.as_ref().map(Given::rows);
        let (application_id, id, family_id) = (sign_in.application_id, sign_in.id, facts.family_id);
        let opening = self.opening(outcome, auth.new_grant_id)?;
        let grant = self
            .commit(move |s| {
                Box::pin(async move {
                    if !s.consume_code(application_id, id, family_id).await? {
                        return Err(Error::new(
                            crate::ErrorKind::LoginIdInvalid,
                            "The code was used at the same moment",
                        ));
                    }
                    let opener = opener(s, application_id, opening).await?;
                    let done = transfer(s, auth, opener).await?;
                    if let Some((access, refresh)) = rows {
                        store_given(s, access, refresh, &done.grant).await?;
                    }
                    Ok((done.grant, done.changes))
                })
            })
            .await?;
        Ok((grant, given))
    }

    fn authentication(&self, outcome: &Outcome) -> Authentication {
        let (now, started) = (self.now(), &outcome.started);
        Authentication {
            application_id: started.application_id,
            provider: started.provider,
            connector_id: started.connector_id,
            credential_id: started.credential_id,
            client_id: outcome.client_id.clone(),
            identity: outcome.identity.clone(),
            scope: outcome.scope.clone(),
            state: started.state.clone(),
            ip: started.ip.clone(),
            user_agent: started.user_agent.clone(),
            external_id: started.external_id.clone(),
            name: None,
            settings: outcome.account.as_ref().map(|a| a.settings.clone()),
            idle_days: self.idle_days(started.provider),
            expected: outcome.expected_grant_id,
            voucher: Voucher::Provider,
            new_grant_id: GrantId::generate(now, self.entropy()),
            now,
            actor: format!("sign_in:{}", started.id),
        }
    }

    /// What the sign-in left to open the account with.
    fn opening(&self, outcome: &Outcome, grant_id: GrantId) -> Result<Opening, Error> {
        let started = &outcome.started;
        match (&outcome.account, outcome.token_set_id) {
            (Some(account), _) => {
                let (application_id, provider) = (started.application_id, started.provider);
                let passwords = &account.passwords;
                let secret = self.new_account_secret(application_id, grant_id, provider, passwords);
                Ok(Opening::Passwords(Box::new(secret)))
            }
            (None, Some(id)) => Ok(Opening::Pending(id)),
            (None, None) => Err(Error::internal("a sign-in that opened nothing")),
        }
    }

    fn given(&self, facts: &FamilyFacts, outcome: &Outcome, grant_id: GrantId) -> Given {
        let refresh = outcome
            .started
            .offline
            .then(|| self.new_refresh_token(facts, grant_id, Scopes::none()));
        Given {
            access: self.new_access_token(facts, grant_id),
            refresh,
        }
    }
}

/// What a sign-in left behind.
#[derive(Clone)]
enum Opening {
    /// The pending token set of this id.
    Pending(TokenSetId),
    /// Passwords.
    Passwords(Box<AccountSecret>),
}

async fn opener(
    s: &mut keyway_store::Session<'_>,
    application_id: ApplicationId,
    opening: Opening,
) -> Result<Opener, Error> {
    match opening {
        Opening::Passwords(secret) => Ok(Opener::Passwords(secret)),
        Opening::Pending(id) => {
            let set = s.token_set(application_id, id).await?;
            let set = set.ok_or_else(|| Error::internal("the pending token set is gone"))?;
            Ok(Opener::Tokens(Box::new(set)))
        }
    }
}

/// The tokens an exchange gives.
pub(super) struct Given {
    access: Fresh<AccessToken>,
    refresh: Option<Fresh<RefreshToken>>,
}

impl Given {
    fn rows(&self) -> (AccessToken, Option<RefreshToken>) {
        let refresh = self.refresh.as_ref().map(|fresh| fresh.row.clone());
        (self.access.row.clone(), refresh)
    }
}

async fn store_given(
    s: &mut keyway_store::Session<'_>,
    mut access: AccessToken,
    refresh: Option<RefreshToken>,
    grant: &Grant,
) -> Result<(), Error> {
    access.grant_id = grant.id;
    s.insert_access_token(&access).await?;
    if let Some(mut refresh) = refresh {
        refresh.grant_id = grant.id;
        refresh.scope = grant.scope.clone();
        s.insert_refresh_token(&refresh).await?;
    }
    Ok(())
}

/// A challenge must be answered, and a verifier without a challenge is a downgrade (RFC 9700, 2.1.1).
fn check_pkce(started: &Started, verifier: Option<&str>) -> Result<(), OAuthError> {
    let good = match (&started.challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => challenge.accepts(verifier, sha256),
        _ => false,
    };
    if good {
        return Ok(());
    }
    let failed = OAuthError::invalid_grant("Code verifier challenge failed");
    Err(OAuthError {
        error_code: PKCE_FAILED,
        ..failed
    })
}
