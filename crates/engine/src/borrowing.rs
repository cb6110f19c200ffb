//! Credentials without a client of their own: whose they borrow, and what that keeps the lender from.

use crate::applications::changed_meanwhile;
use crate::caller::Caller;
use crate::credential_data::ClientMembers;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use keyway_core::connector::Connector;
use keyway_core::credential::{Credential, CredentialType, Owner};
use keyway_core::ids::CredentialId;
use keyway_store::{Session, StoreError};

impl Engine {
    /// A client that is itself lent cannot be borrowed: the operator lends it for users' sign-ins, and not for the
    /// accounts of whole tenants.
    pub(crate) async fn refuse_lent_lender(
        &self,
        caller: &Caller,
        new: &Credential,
    ) -> Result<(), Error> {
        let Some(id) = new.borrows_from else {
            return Ok(());
        };
        let lender = self.live_credential(caller, id).await?;
        if lender.is_none_or(|lender| lender.owner == Owner::Application) {
            return Ok(());
        }
        let what = "is required: the connector's client is the operator's shared app, which is not lent for this";
        Err(Error::field("credential_data.client_id", what))
    }

    /// Another client under grants would strand them: their tokens were issued to the old one, and those of grants
    /// whose credential borrows the client too.
    pub(crate) async fn refuse_other_client(
        &self,
        member: &str,
        before: &Credential,
        after: &Credential,
    ) -> Result<(), Error> {
        let (before, after) = (before.clone(), after.clone());
        let job = self.store().read(move |s| {
            Box::pin(async move {
                if client_of(s, &before).await? == client_of(s, &after).await? {
                    return Ok(0);
                }
                s.grants_by_client(before.application_id, before.id).await
            })
        });
        match job.await? {
            0 => Ok(()),
            n => Err(Error::field(
                member,
                format_args!(
                    "{n} grant(s) hold tokens of the present client, which another client cannot use; add a credential and move them by re-authentication"
                ),
            )),
        }
    }
}

/// The client a credential speaks as: its own, or its lender's.
async fn client_of(
    s: &mut Session<'_>,
    credential: &Credential,
) -> Result<Option<String>, StoreError> {
    let Some(lender) = credential.borrows_from else {
        return Ok(credential.client_id.clone());
    };
    let lender = s.credential(credential.application_id, lender).await?;
    Ok(lender.and_then(|lender| lender.client_id))
}

/// The same, which then stays what it is until the transaction ends. The connector is to be held before, since
/// whoever deletes it writes lender and borrower in any order.
pub(crate) async fn held_client(
    s: &mut Session<'_>,
    credential: &Credential,
) -> Result<Option<String>, StoreError> {
    if let Some(lender) = credential.borrows_from {
        s.hold_credential(credential.application_id, lender).await?;
    }
    client_of(s, credential).await
}

/// A grant may have come since the request was checked: its tokens are the former client's (rule 1).
pub(crate) async fn refuse_stranding(
    s: &mut Session<'_>,
    before: &Credential,
    after: &Credential,
) -> Result<(), Error> {
    if held_client(s, before).await? == held_client(s, after).await? {
        return Ok(());
    }
    match s.grants_by_client(after.application_id, after.id).await? {
        0 => Ok(()),
        _ => Err(changed_meanwhile()),
    }
}

pub(crate) fn is_borrowed(by: &str) -> Error {
    Error::new(
        ErrorKind::InvalidRequest,
        format!(
            "The credential '{by}' uses this one's client; give it client settings of its own, or delete it first."
        ),
    )
}

/// The credential whose client an `adminconsent` credential without one uses: pinned now.
pub(crate) fn borrowed_client(
    connector: &Connector,
    credential_type: CredentialType,
    members: &ClientMembers,
) -> Result<Option<CredentialId>, Error> {
    if credential_type != CredentialType::AdminConsent || !members.is_empty() {
        return Ok(None);
    }
    let lender = connector
        .primary_credential_id
        .or(connector.active_credential_id);
    lender.map(Some).ok_or_else(|| {
        let what = "is required: the connector has no client settings to borrow";
        Error::field("credential_data.client_id", what)
    })
}
